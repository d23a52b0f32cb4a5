"""Weights that hardware evaluates as two layers: looked-up products, shared kernels, ternary factors and low-rank pairs."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.common import sign_of, straight, usable_scale
from bnnhw.nn.compress.common import shared_integers, sized
from bnnhw.nn.compress.factor import factorise
from bnnhw.nn.compress.kernels import share_kernels
from bnnhw.nn.compress.lowrank import rank_for, svd_pair
from bnnhw.nn.compress.product import product_code, sub_spaces
from bnnhw.nn.quantiser import IntegerWeights, TwoSteps, WeightQuantiser

FIXED_FROM = 0.75
"""Part of the epochs after which a code that follows the weights stays."""

S = TypeVar("S", c.Product, c.Kernels, c.Factorise, c.LowRank)


class TwoStepWeights(WeightQuantiser, Generic[S]):
    """A code that is cut from the weights before the epoch at `start` of the training; evaluation before it cuts afresh."""

    follows = False
    """Whether the code is cut again before every epoch up to FIXED_FROM."""
    started: Tensor
    """bool: whether the code has been cut."""

    def __init__(self, spec: S, layer: str) -> None:
        super().__init__()
        self.spec: S = spec
        self.layer = layer
        self.register_buffer("started", torch.tensor(False))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        if (self.follows and epoch < FIXED_FROM * epochs) if self.started else epoch >= int(self.spec.start * epochs):
            self.cut(w.detach())
            self.started.fill_(True)

    def cut(self, w: Tensor) -> None:
        """Take the code of `w`."""
        raise NotImplementedError


class ProductWeights(TwoStepWeights[c.Product]):
    """Sub-vectors along the channels are codewords found by k-means, then trained by the summed gradient of their users (Wu et al. 2016).

    Evaluation rounds a codeword by at most half a unit, the largest magnitude over 2**(bits - 1) - 1.
    """

    codewords: Tensor
    """float32 [M, n, size]"""
    rows: Tensor
    """int32 [O, ..., M]: m * n + the codeword in sub-space m"""

    def __init__(self, spec: c.Product, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, layer)
        spaces, self.taps = sub_spaces(shape[1], spec.size, layer), torch.Size(shape[2:]).numel()
        sized(spec.n, shape[0] * self.taps, "codewords", layer)
        self.codewords = nn.Parameter(torch.zeros(spaces, spec.n, spec.size))
        self.register_buffer("rows", torch.zeros(shape[0], *shape[2:], spaces, dtype=torch.int32))

    def forward(self, w: Tensor) -> Tensor:
        return _looked_up(self.codewords, self.rows) if self.started else w

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        codewords, rows = (self.codewords, self.rows) if self.started else self._code(w)
        values, unit = shared_integers(codewords, self.spec.bits - 1, self.layer)
        places = rows.long().reshape(len(w), self.taps, -1) * self.taps + torch.arange(self.taps, device=rows.device)[:, None]
        index = places.flatten(1)
        table = values.reshape(-1, self.spec.size, 1, 1)
        steps = TwoSteps("lookup", {"table": table, "index": index, "sign": torch.ones_like(index)})
        return IntegerWeights(_looked_up(values, rows), unit.repeat(len(w)), two_steps=steps)

    def cut(self, w: Tensor) -> None:
        codewords, rows = self._code(w)
        self.codewords.data.copy_(codewords)
        self.rows.copy_(rows)

    def _code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        code = product_code(w, self.spec.size, self.spec.n, self.spec.seed, self.layer)
        rows = code.index + self.spec.n * torch.arange(len(code.codebooks))
        return code.codebooks.to(w), rows.to(w.device, torch.int32)


class SharedKernelWeights(TwoStepWeights[c.Kernels]):
    """Signs whose kernels are, up to sign, the nearest of the few kernels of their input channel (after Kim et al. 2017).

    Kernels are the medoids of those that the weights have; without `n` all of these, and nothing is lost.
    The gradient passes where |w| <= 1 and the latent weights are clipped there.
    """

    follows = True
    kernels: Tensor
    """int8 [C, n, kh, kw], -1 or +1; a channel with fewer repeats its first. n is 0 where none was given."""

    def __init__(self, spec: c.Kernels, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, layer)
        if len(shape) != 4:
            raise BnnhwError(f"layer {layer!r}: kernels are shared in weights [O, C, kh, kw], these are {list(shape)}; use it on a conv layer")
        if spec.n is not None:
            sized(spec.n, shape[0], "kernels of a channel", layer)
        self.register_buffer("kernels", torch.ones(shape[1], spec.n or 0, *shape[2:], dtype=torch.int8))

    def forward(self, w: Tensor) -> Tensor:
        signs = sign_of(w.detach())
        return straight(w, self._nearest(signs, self.kernels) if self.started else signs, (w.abs() <= 1).to(w.dtype))

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        if not torch.isfinite(w).all() or not w.any():
            raise BnnhwError(f"layer {self.layer!r}: signs need finite weights that are not all 0; check its training")
        signs = sign_of(w)
        values = self._nearest(signs, self.kernels if self.started else self._medoids(signs)).long()
        shared = share_kernels(values, layer=self.layer)
        n = max(map(len, shared.kernels))
        index = shared.index + n * torch.arange(len(shared.kernels))
        table = torch.stack([_filled(k, n) for k in shared.kernels]).flatten(0, 1)[:, None]
        steps = TwoSteps("lookup", {"table": table, "index": index, "sign": shared.sign})
        return IntegerWeights(values, torch.ones(len(w), device=w.device), two_steps=steps)

    def after_step(self, w: nn.Parameter) -> None:
        w.data.clamp_(-1, 1)

    def cut(self, w: Tensor) -> None:
        self.kernels.copy_(self._medoids(sign_of(w)))

    def _medoids(self, signs: Tensor) -> Tensor:
        """The kernels, shape of the buffer."""
        n = self.spec.n
        if n is None:
            return self.kernels
        return torch.stack([_filled(k, n) for k in share_kernels(signs, n, self.layer).kernels]).to(self.kernels)

    def _nearest(self, signs: Tensor, kernels: Tensor) -> Tensor:
        """`signs` with every kernel replaced by the nearest of `kernels` or its negative, the first of equally near ones."""
        if self.spec.n is None:
            return signs
        flat = kernels.to(signs).flatten(2)
        dots = torch.einsum("ock,cnk->ocn", signs.flatten(2), flat)
        place = dots.abs().argmax(2, keepdim=True)
        chosen = flat[torch.arange(len(flat), device=flat.device), place.squeeze(2)]
        return (chosen * sign_of(dots.gather(2, place))).reshape(signs.shape)


class FactoredWeights(TwoStepWeights[c.Factorise]):
    """x diag(d) y with ternary x and y, fitted to the latent weights, which get the gradient straight through (Wang & Cheng 2017).

    d is trained too; before every epoch up to FIXED_FROM all three are fitted anew. Evaluation rounds d by at most half a unit,
    its largest magnitude over 2**scale_bits - 1.
    """

    follows = True
    x: Tensor
    """int8 [O, rank], -1, 0 or +1; terms that the fit does not need are 0"""
    y: Tensor
    """int8 [rank, K], -1, 0 or +1"""
    d: Tensor
    """float32 [rank]"""

    def __init__(self, spec: c.Factorise, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, layer)
        fan_in = torch.Size(shape[1:]).numel()
        sized(spec.rank, shape[0] * fan_in, "rank", layer)
        self.register_buffer("x", torch.zeros(shape[0], spec.rank, dtype=torch.int8))
        self.register_buffer("y", torch.zeros(spec.rank, fan_in, dtype=torch.int8))
        self.d = nn.Parameter(torch.zeros(spec.rank))

    def forward(self, w: Tensor) -> Tensor:
        if not self.started:
            return w
        product = (self.x.to(w.dtype) * self.d) @ self.y.to(w.dtype)
        return product.reshape(w.shape) + straight(w, torch.zeros_like(w))

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        x, d, y = (self.x, self.d, self.y) if self.started else self._factors(w)
        middle, unit = shared_integers(d, self.spec.scale_bits, self.layer)
        used = middle != 0
        return _factored(x[:, used].long() * middle[used].sign(), middle[used].abs(), y[used].long(), unit.repeat(len(w)), w.shape)

    def cut(self, w: Tensor) -> None:
        x, d, y = self._factors(w)
        self.x.copy_(x)
        self.d.data.copy_(d)
        self.y.copy_(y)

    def _factors(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, d and y, shapes of the state."""
        found = factorise(w, self.spec.rank, self.spec.iterations, self.layer)
        x, d, y = torch.zeros_like(self.x), torch.zeros_like(self.d), torch.zeros_like(self.y)
        terms = len(found.d)
        x[:, :terms], d[:terms], y[:terms] = found.x, found.d, found.y.T
        return x, d, y


class LowRankWeights(TwoStepWeights[c.LowRank]):
    """u v, the nearest of its rank at first, then both trained with symmetric integers of `bits` bits, straight through (Denton et al. 2014).

    Every output has a unit of its own, v has one.
    """

    u: Tensor
    """float32 [O, r]; r is the rank, or the full one where energy chooses: what it does not need is 0 and stays so"""
    v: Tensor
    """float32 [r, K]"""

    def __init__(self, spec: c.LowRank, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, layer)
        fan_in = torch.Size(shape[1:]).numel()
        full = min(shape[0], fan_in)
        rank = full if spec.rank is None else spec.rank
        sized(rank, full, "rank", layer)
        self.u, self.v = nn.Parameter(torch.zeros(shape[0], rank)), nn.Parameter(torch.zeros(rank, fan_in))

    def forward(self, w: Tensor) -> Tensor:
        if not self.started:
            return w
        u, v = (straight(m, real) for m, real in ((self.u, self._real(self.u, 1)), (self.v, self._real(self.v, None))))
        return (u @ v).reshape(w.shape)

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        u, v = (self.u, self.v) if self.started else self._pair(w)
        (outer, row_unit), (inner, unit) = self._rounded(u, 1), self._rounded(v, None)
        real = usable_scale(row_unit.flatten() * unit, self.layer)
        outer, inner = outer.long(), inner.long()
        used = outer.any(0) & inner.any(1)
        if not used.any():
            raise BnnhwError(f"layer {self.layer!r}: factors of {self.spec.bits} bits round the product to 0; give them more bits")
        return _factored(outer[:, used], torch.ones_like(outer[0, used]), inner[used], real, w.shape)

    def cut(self, w: Tensor) -> None:
        u, v = self._pair(w)
        self.u.data.copy_(u)
        self.v.data.copy_(v)

    def _pair(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """u and v, shapes of the state; on the CPU, so that every machine finds the same."""
        w, spec = w.detach().cpu(), self.spec
        rank = rank_for(w, spec.energy, self.layer) if spec.energy is not None else len(self.v)
        found_u, found_v = svd_pair(w, rank, self.layer)
        u, v = torch.zeros_like(self.u), torch.zeros_like(self.v)
        u[:, :rank], v[:rank] = found_u, found_v
        return u, v

    def _rounded(self, m: Tensor, dim: int | None) -> tuple[Tensor, Tensor]:
        """`m` as whole numbers, and their unit: one for every row (`dim` 1), or for all."""
        unit = m.abs().amax(dim, keepdim=True) if dim is not None else m.abs().amax()
        unit = unit / (2 ** (self.spec.bits - 1) - 1)
        return torch.round(m / torch.where(unit > 0, unit, 1)), unit

    def _real(self, m: Tensor, dim: int | None) -> Tensor:
        """`m` rounded to multiples of its unit."""
        values, unit = self._rounded(m.detach(), dim)
        return values * unit


def _looked_up(codebooks: Tensor, rows: Tensor) -> Tensor:
    """Weights [O, C, ...] of codebooks [M, n, size] and rows [O, ..., M]."""
    runs = codebooks.flatten(0, 1).index_select(0, rows.flatten())
    return runs.reshape(*rows.shape, -1).flatten(-2).movedim(-1, 1)


def _filled(kernels: Tensor, n: int) -> Tensor:
    """`kernels` [D, ...] and repeats of the first, `n` in all."""
    return torch.cat([kernels, kernels[:1].expand(n - len(kernels), *kernels.shape[1:])])


def _factored(outer: Tensor, middle: Tensor, inner: Tensor, unit: Tensor, shape: torch.Size) -> IntegerWeights:
    """outer [O, r] diag(middle) inner [r, K], int64, as weights of `shape`; float64 multiplies their integers exactly."""
    steps = TwoSteps("factored", {"inner": inner.reshape(-1, *shape[1:]), "middle": middle, "outer": outer})
    values = ((outer * middle).double() @ inner.double()).long()
    return IntegerWeights(values.reshape(shape), unit, two_steps=steps)
