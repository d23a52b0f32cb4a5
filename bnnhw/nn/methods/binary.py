"""Binary weights: BinaryConnect and BNN, XNOR-Net, hashing, stochastic quantisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bnnhw.ir.methods import BwnhWeightSpec, BwnWeightSpec, SignWeightSpec, SqWeightSpec
from bnnhw.nn.common import TINY, column, sign_of, straight
from bnnhw.nn.methods.common import ClippedWeights, CodedWeights, mean_magnitude, portion


class SignWeights(ClippedWeights[SignWeightSpec]):
    """-1 and +1; the gradient passes where |w| <= 1 and the latent weights are clipped there.

    Stochastic weights are spread over [-1, 1] before the first epoch, or else all would be fair coins; BinaryConnect
    scales their learning rate to the same end.
    """

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return sign_of(w), w.new_ones(len(w))

    def forward(self, w: Tensor) -> Tensor:
        if not (self.spec.stochastic and self.training):
            return super().forward(w)
        with torch.no_grad():
            drawn = sign_of((w + 1) / 2 - torch.rand_like(w).clamp_min_(TINY))
        return straight(w, drawn, self.gain(w, drawn))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        if self.spec.stochastic and epoch == 0:
            self.spread(w, 0.5)


class BwnWeights(CodedWeights[BwnWeightSpec]):
    """Sign times alpha, the mean magnitude; gradient (1/n + alpha [|w| <= 1]), the paper's section 3.1."""

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return sign_of(w), mean_magnitude(w, self.spec.per_tensor)

    def gain(self, w: Tensor, unit: Tensor) -> Tensor:
        n = w.numel() if self.spec.per_tensor else w[0].numel()
        return 1 / n + column(unit, w) * (w.abs() <= 1)


class BwnhWeights(ClippedWeights[BwnhWeightSpec]):
    """Codes b and scales alpha that preserve inner products with the inputs: least (w - alpha b)' G (w - alpha b).

    G is the mean of x x' over the columns given to `observe`, the identity (which gives BWN) before. The first
    `before_epoch` solves for b and alpha; from then on sign and alpha are fine-tuned by gradient.
    """

    observes = True

    def __init__(self, spec: BwnhWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        fan_in = math.prod(shape[1:])
        self.alpha = nn.Parameter(torch.ones(shape[0]))
        self.register_buffer("gram", torch.zeros(fan_in, fan_in))
        self.register_buffer("observed", torch.zeros((), dtype=torch.long))
        self.register_buffer("hashed", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def observe(self, x_columns: Tensor) -> None:
        """Add layer inputs [N, K], K ordered as a row of the weights; the groups of a convolution in common."""
        self.observed += len(x_columns)
        x = x_columns.to(self.gram.dtype)
        self.gram.lerp_(x.T @ x / len(x), len(x) / int(self.observed))

    @torch.no_grad()
    def hash(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (shape of `w`) and scales [O] by alternating closed-form scales and cyclic coordinate descent."""
        rows = w.flatten(1).double()
        gram = self.gram.double() if self.observed else torch.eye(rows.shape[1], dtype=torch.float64, device=w.device)
        target, codes = rows @ gram, sign_of(rows)
        product = codes @ gram
        alpha = _ratio(codes, target, product)
        for _ in range(self.spec.iterations):
            before = codes.clone()
            for k in range(rows.shape[1]):
                pull = alpha * (target[:, k] - alpha * (product[:, k] - codes[:, k] * gram[k, k]))
                step = torch.where(pull == 0, codes[:, k], sign_of(pull)) - codes[:, k]
                if step.any():
                    codes[:, k] += step
                    product += torch.outer(step, gram[k])
            alpha = _ratio(codes, target, product)
            if torch.equal(before, codes):
                break
        return codes.view_as(w).to(w.dtype), alpha.to(w.dtype)

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return (sign_of(w), self.alpha.detach()) if self.hashed else self.hash(w)

    def forward(self, w: Tensor) -> Tensor:
        if not self.hashed:
            return super().forward(w)
        return column(self.alpha, w) * straight(w, sign_of(w.detach()), self.gain(w, self.alpha))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        if not self.hashed:
            codes, alpha = self.hash(self.usable(w))
            w.copy_(codes * w.abs().clamp_min(TINY))
            self.alpha.data.copy_(alpha)
            self.hashed.fill_(True)


def _ratio(codes: Tensor, target: Tensor, product: Tensor) -> Tensor:
    """b'Gw / b'Gb of every row."""
    return (codes * target).sum(1) / (codes * product).sum(1).clamp_min(TINY)


class SqWeights(CodedWeights[SqWeightSpec]):
    """SQ-BWN: a share of the outputs, drawn without return with odds 1/error, is binary in training; all in evaluation.

    The error of an output is |w - alpha b| / |w| in the 1-norm; both parts take the gradient of what was used.
    """

    def __init__(self, spec: SqWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        self.register_buffer("share", torch.tensor(spec.steps[0]))

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return sign_of(w), mean_magnitude(w)

    @torch.no_grad()
    def odds(self, w: Tensor) -> Tensor:
        """[O] unnormalised probability of every output to be binarised next."""
        values, unit = self.code(w)
        size = w.abs().flatten(1).sum(1)
        return 1 / ((w - column(unit, w) * values).abs().flatten(1).sum(1) / size.clamp_min(TINY) + 1e-7)

    def forward(self, w: Tensor) -> Tensor:
        if not self.training:
            return super().forward(w)
        with torch.no_grad():
            values, unit = self.code(w)
            binary = torch.zeros_like(unit, dtype=torch.bool)
            binary[torch.multinomial(self.odds(w), max(1, round(float(self.share) * len(w))))] = True
            mixed = torch.where(column(binary, w), column(unit, w) * values, w)
        return straight(w, mixed)

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        self.share.fill_(portion(self.spec.steps, epoch, epochs))
