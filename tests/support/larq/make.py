"""Makes net.onnx and expected.npz beside it: a Larq network through tf2onnx.

Run with `pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0 larq==0.14.0 tf2onnx==1.17.0`, in an environment of its own.
"""

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Larq is for Keras 2

import larq as lq
import numpy as np
import tensorflow as tf
import tf2onnx

HERE = Path(__file__).parent

tf.random.set_seed(0)
binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
first = {key: value for key, value in binary.items() if key != "input_quantizer"}
model = tf.keras.models.Sequential([
    lq.layers.QuantConv2D(8, 3, padding="same", input_shape=(12, 12, 1), **first),
    tf.keras.layers.MaxPool2D(2),
    tf.keras.layers.BatchNormalization(scale=False),
    lq.layers.QuantConv2D(8, 3, padding="same", pad_values=1.0, **binary),
    tf.keras.layers.BatchNormalization(),
    tf.keras.layers.Flatten(),
    lq.layers.QuantDense(10, **binary),
    tf.keras.layers.BatchNormalization(scale=False),
    tf.keras.layers.Activation("softmax"),
])  # fmt: skip
model.compile("adam", "sparse_categorical_crossentropy")
x = np.random.rand(256, 12, 12, 1).astype(np.float32)
model.fit(x, (x[:, :6].sum((1, 2, 3)) > x[:, 6:].sum((1, 2, 3))).astype(int), epochs=2, verbose=0)
tf2onnx.convert.from_keras(model, input_signature=(tf.TensorSpec((1, 12, 12, 1), tf.float32),), opset=13, output_path=str(HERE / "net.onnx"))
frames = np.random.randint(0, 256, (24, 12, 12, 1), np.uint8)
np.savez_compressed(HERE / "expected.npz", frames=frames, outputs=model.predict((frames / 255).astype(np.float32), verbose=0))
