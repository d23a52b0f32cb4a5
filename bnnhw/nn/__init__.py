"""Training of binarized networks with PyTorch (the `train` extra); nothing outside this package imports torch."""
