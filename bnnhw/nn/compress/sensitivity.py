"""How much a network feels the compression of each layer, and bits allotted by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnhw.ir.errors import BnnhwError


def layer_sensitivity(
    model: nn.Module, layers: Sequence[str], evaluate: Callable[[], float], change: Callable[[Tensor, float], Tensor], levels: Sequence[float]
) -> dict[str, dict[float, float]]:
    """What `evaluate` returns (accuracy or loss of `model`) with one layer's weight changed to each level, by layer and level.

    `change` is `pruned`, `quantised` or another function of a weight and a level. The model is left as it was.
    """
    table: dict[str, dict[float, float]] = {}
    modules = dict(model.named_modules())
    for name in layers:
        weight = getattr(modules.get(name), "weight", None)
        if weight is None:
            raise BnnhwError(f"layer {name!r}: the model has no such layer with a weight; choose one of {', '.join(n for n in modules if n)}")
        original = weight.detach().clone()
        try:
            table[name] = {}
            for level in levels:
                weight.data.copy_(change(original, level))
                table[name][level] = evaluate()
        finally:
            weight.data.copy_(original)
    return table


def pruned(weight: Tensor, sparsity: float) -> Tensor:
    """`weight` with the fraction `sparsity` of smallest magnitude set to 0."""
    if not 0 <= sparsity < 1:
        raise BnnhwError(f"sparsity must be at least 0 and below 1, it is {sparsity:g}; choose one in this range")
    order = weight.abs().flatten().argsort(stable=True)
    return weight.flatten().index_fill(0, order[: round(sparsity * weight.numel())], 0).reshape(weight.shape)


def quantised(weight: Tensor, bits: float) -> Tensor:
    """`weight` [O, ...] in symmetric uniform levels of `bits` bits, one step an output; the sign times the mean magnitude for 1 bit."""
    if bits < 1 or bits != int(bits):
        raise BnnhwError(f"bits must be a whole number of at least 1, they are {bits:g}; round them")
    rows = weight.flatten(1)
    if bits == 1:
        return (torch.where(rows >= 0, 1.0, -1.0) * rows.abs().mean(1, keepdim=True)).reshape(weight.shape)
    step = (rows.abs().amax(1, keepdim=True) / (2 ** (int(bits) - 1) - 1)).clamp(min=torch.finfo(rows.dtype).tiny)
    return (torch.round(rows / step) * step).reshape(weight.shape)


def gradient_sensitivity(weights: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """Rise of the loss, in second order, if every weight erred by its layer's largest magnitude: sum of grad**2 * max(w)**2 (Fisher)."""
    found = {}
    for name, weight in weights.items():
        if weight.grad is None:
            raise BnnhwError(f"layer {name!r}: its weight has no gradient; call backward on a loss first")
        found[name] = float(weight.grad.square().sum() * weight.detach().abs().amax().square())
    return found


def allot_bits(sensitivity: Mapping[str, float], sizes: Mapping[str, int], budget: float, widths: Sequence[int] = (1, 2, 4, 8)) -> dict[str, int]:
    """Bits of each layer, at most `budget` a weight on average; a width b costs sensitivity * 4**-b, the noise of uniform levels.

    Starts with the widest everywhere and narrows where the cost rises least a saved bit (Gonugondla & Shanbhag 2022, IMPQ).
    """
    for name, felt in sensitivity.items():
        if not 0 <= felt < float("inf") or sizes.get(name, 0) < 1:
            raise BnnhwError(f"layer {name!r}: sensitivity {felt:g} must be finite, its size {sizes.get(name, 0)} positive; give both")
    if not sensitivity or budget < min(widths):
        raise BnnhwError(f"a budget of {budget:g} bits for {len(sensitivity)} layers is below the narrowest width {min(widths)}; raise it")
    rising, counts = sorted(widths), np.array([sizes[name] for name in sensitivity])
    cost = np.array([[felt * 4.0**-b for b in rising] for felt in sensitivity.values()])
    chosen = reduce_bits(cost, counts, rising, budget * int(counts.sum()), np.full(len(counts), len(rising) - 1))
    return {name: rising[i] for name, i in zip(sensitivity, chosen, strict=True)}


def reduce_bits(
    cost: NDArray[np.float64], sizes: NDArray[np.int64], widths: Sequence[int], budget_bits: float, chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index [G] of each group's width, from `chosen` downward until sum(sizes * width) <= budget_bits.

    Finite cost. Each move is the one whose rise of cost [G, B] is smallest a saved bit; a budget below the narrowest widths gives these.
    """
    chosen, width, groups = chosen.copy(), np.asarray(widths, np.int64), np.arange(len(sizes))
    while (sizes * width[chosen]).sum() > budget_bits and chosen.any():
        saved = sizes[:, None] * (width[chosen][:, None] - width)
        rise = np.where(saved > 0, (cost - cost[groups, chosen][:, None]) / np.maximum(saved, 1), np.inf)
        group, narrower = np.unravel_index(rise.argmin(), rise.shape)
        chosen[group] = narrower
    return chosen
