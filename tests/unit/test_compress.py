"""Laws of weight compression: integers equal training's weights, masks and budgets hold, errors fall."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import Topology
from bnnhw.nn.common import straight
from bnnhw.nn.compress.build import compression_quantiser
from bnnhw.nn.compress.codebook import CodebookWeights
from bnnhw.nn.compress.common import kmeans, linear_start, spread_start, stage
from bnnhw.nn.compress.factor import factorise
from bnnhw.nn.compress.hashed import HashedWeights, hash32
from bnnhw.nn.compress.impq import ImpqWeights, allot
from bnnhw.nn.compress.kernels import share_kernels
from bnnhw.nn.compress.lowrank import rank_for, svd_pair
from bnnhw.nn.compress.product import corrected, product_code
from bnnhw.nn.compress.prune import PrunedWeights, StructuredPrunedWeights, shrink, structured_keep
from bnnhw.nn.compress.regularise import penalty, rescaled_dropout
from bnnhw.nn.compress.sensitivity import allot_bits, gradient_sensitivity, layer_sensitivity, pruned, quantised, reduce_bits
from bnnhw.nn.model import build

EXACT = [
    {"method": "prune", "sparsity": 0.6},
    {"method": "prune", "sensitivity": 0.7, "base": "bits", "bits": 4, "steps": 2},
    {"method": "prune", "sparsity": 0.99, "base": "bits", "bits": 8},
    {"method": "prune_structured", "sparsity": 0.5, "norm": 2, "base": "bits", "bits": 2},
    {"method": "prune_structured", "sparsity": 0.4},
    {"method": "impq"},
    {"method": "impq", "widths": [1, 3, 8], "budget": 2.5, "steps": 1},
    {"method": "impq", "across": "network"},
]
ROUNDED = [
    {"method": "kmeans", "n": 5},
    {"method": "kmeans", "n": 16, "scale_bits": 8, "start": 0},
    {"method": "kmeans_rows", "n": 8, "size": 4},
    {"method": "kmeans_rows", "n": 6, "size": 2, "along": "columns"},
    {"method": "hashed", "buckets": 24},
]
SHAPES = [(10, 16), (6, 4, 3, 3)]


def spec_of(given: dict[str, object]) -> c.CompressionMethod:
    return TypeAdapter(c.CompressionMethod).validate_python(given)


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def weights_in(values: Tensor, unit: Tensor) -> Tensor:
    return values * unit.reshape(-1, *[1] * (values.dim() - 1))


def trained(spec: c.CompressionMethod, w0: Tensor, epochs: int = 8, steps: int = 6) -> tuple[nn.Module, nn.Parameter, list[float]]:
    """A quantiser and its latent weights after `epochs` towards a teacher's outputs, and the loss of every step."""
    torch.manual_seed(1)
    quantiser, w = compression_quantiser(spec, tuple(w0.shape), "fc1"), nn.Parameter(w0.clone())
    x, teacher = torch.randn(64, w0[0].numel()), torch.randn(w0[0].numel(), len(w0))
    optimiser = torch.optim.Adam([w, *quantiser.parameters()], 0.02)
    losses = []
    for epoch in range(epochs):
        with torch.no_grad():
            quantiser.before_epoch(w, epoch, epochs)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = F.mse_loss(x @ quantiser(w).flatten(1).T, x @ teacher)
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                quantiser.after_step(w)
            losses.append(float(loss.detach()))
    return quantiser, w, losses


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("given", EXACT + ROUNDED, ids=str)
def test_integers_are_what_training_saw(given: dict[str, object], shape: tuple[int, ...], rng: np.random.Generator) -> None:
    spec, w0 = spec_of(given), normal(rng, *shape)
    quantiser, w, losses = trained(spec, w0)
    found, seen = quantiser.integers(w), quantiser(w).detach()
    assert found.values.dtype == torch.int64 and found.values.shape == w.shape and found.values.abs().max() < 256
    assert found.unit.shape == (len(w),) and torch.isfinite(found.unit).all() and (found.unit > 0).all()
    real = weights_in(found.values, found.unit)
    if given in EXACT:
        assert torch.equal(real, seen)
    else:
        assert ((real - seen).abs() <= 0.501 * found.unit[0]).all()
    if given["method"] not in ("prune", "prune_structured"):
        assert losses[-1] < losses[0]
    copy = compression_quantiser(spec, shape, "fc1")
    copy.load_state_dict(quantiser.state_dict())
    again = copy.integers(w)
    assert torch.equal(again.values, found.values) and torch.equal(again.unit, found.unit)
    second, w2, _ = trained(spec, w0)
    assert torch.equal(w2, w) and torch.equal(second.integers(w2).values, found.values)


@pytest.mark.parametrize("given", EXACT + ROUNDED, ids=str)
def test_untrained_weights_have_integers_and_keep_the_state(given: dict[str, object], rng: np.random.Generator) -> None:
    w = normal(rng, 10, 16)
    quantiser = compression_quantiser(spec_of(given), (10, 16), "fc1")
    before = {name: value.clone() for name, value in quantiser.state_dict().items()}
    first, second = quantiser.integers(w), quantiser.integers(w)
    assert torch.equal(first.values, second.values) and first.values.abs().max() < 256
    assert all(torch.equal(before[name], value) for name, value in quantiser.state_dict().items())


@pytest.mark.parametrize("given", [g for g in EXACT + ROUNDED if g["method"] != "hashed"], ids=str)
def test_weights_without_a_scale_are_refused(given: dict[str, object]) -> None:
    quantiser = compression_quantiser(spec_of(given), (10, 16), "fc1")
    for bad in (torch.zeros(10, 16), torch.full((10, 16), torch.nan)):
        with pytest.raises(BnnhwError, match=r"layer 'fc1': .*; ") as e:
            quantiser.integers(bad)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "given",
    [
        {"method": "prune"},
        {"method": "prune", "sparsity": 1.0},
        {"method": "prune", "sparsity": -0.1},
        {"method": "prune", "sparsity": float("nan")},
        {"method": "prune", "sparsity": 0.5, "sensitivity": 1.0},
        {"method": "prune", "sensitivity": 0},
        {"method": "prune", "sparsity": 0.5, "base": "bits"},
        {"method": "prune", "sparsity": 0.5, "base": "bits", "bits": 9},
        {"method": "prune", "sparsity": 0.5, "bits": 4},
        {"method": "prune", "sparsity": 0.5, "steps": 0},
        {"method": "prune_structured", "sparsity": 0.5, "norm": 3},
        {"method": "kmeans", "n": 0},
        {"method": "kmeans", "n": 17},
        {"method": "kmeans", "n": 4, "scale_bits": 9},
        {"method": "kmeans", "n": 4, "start": 1},
        {"method": "kmeans_rows", "n": 0},
        {"method": "kmeans_rows", "n": 4, "size": 0},
        {"method": "hashed", "buckets": 0},
        {"method": "hashed", "buckets": 4, "scale_bits": 7},
        {"method": "impq", "widths": []},
        {"method": "impq", "widths": [2, 1]},
        {"method": "impq", "widths": [1, 9], "budget": 2},
        {"method": "impq", "budget": 5},
        {"method": "impq", "budget": 0.5},
        {"method": "kmeans", "n": 4, "unknown": 1},
        {"method": "unknown"},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        spec_of(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "kmeans", "n": 8}, "codewords must be 1 to 6, it is 8"),
        ({"method": "kmeans_rows", "n": 2, "size": 2}, "runs of 2 weights must divide the 3"),
        ({"method": "kmeans_rows", "n": 2, "size": 3, "along": "columns"}, "runs of 3 weights must divide the 2"),
        ({"method": "hashed", "buckets": 7}, "buckets must be 1 to 6, it is 7"),
    ],
)
def test_rules_that_do_not_fit_the_shape_name_the_layer(given: dict[str, object], message: str) -> None:
    with pytest.raises(BnnhwError, match=f"layer 'fc1': {message}.*; choose"):
        compression_quantiser(spec_of(given), (2, 3), "fc1")


def test_stages_end_at_all_and_never_fall() -> None:
    for epochs, steps in itertools.product(range(1, 12), range(1, 8)):
        stages = [stage(e, epochs, steps) for e in range(epochs)]
        assert stages == sorted(stages) and stages[-1] == steps
        assert stages[0] == 0 or epochs == 1
        half = max((epochs + 1) // 2, min(2, epochs))
        assert set(stages[half - 1 :]) == {steps}
        if half > steps:
            assert stages[0] == 0 and set(stages) == set(range(steps + 1))


def test_straight_through_is_exact_and_passes_the_gradient() -> None:
    w, q = torch.tensor([1e-8, 3.0], requires_grad=True), torch.tensor([1.0, -1.0])
    out = straight(w, q)
    (out * torch.tensor([2.0, 5.0])).sum().backward()
    assert torch.equal(out.detach(), q) and w.grad is not None and w.grad.tolist() == [2, 5]


@pytest.mark.parametrize("sparsity", [0, 0.29, 0.5, 0.999])
def test_pruning_reaches_its_sparsity_in_steps_and_keeps_the_mask(sparsity: float, rng: np.random.Generator) -> None:
    quantiser = PrunedWeights(c.Prune(sparsity=sparsity, steps=3), (10, 20), "fc1")
    w, masks = nn.Parameter(normal(rng, 10, 20)), []
    with torch.no_grad():
        for epoch in range(8):
            quantiser.before_epoch(w, epoch, 8)
            masks.append(quantiser.mask.clone())
            w += 0.5 * normal(rng, 10, 20)
            quantiser.after_step(w)
            assert (w[~quantiser.mask] == 0).all() and (quantiser(w)[~quantiser.mask] == 0).all()
    assert all((b <= a).all() for a, b in itertools.pairwise(masks))
    assert int((~masks[-1]).sum()) == min(round(sparsity * 200), 199)
    quantiser(w).sum().backward()
    assert w.grad is not None and torch.equal(w.grad != 0, quantiser.mask)


def test_pruning_removes_the_smallest_or_all_below_a_deviation(rng: np.random.Generator) -> None:
    w = nn.Parameter(normal(rng, 8, 50))
    quantiser = PrunedWeights(c.Prune(sensitivity=1.0, steps=1), (8, 50), "fc1")
    limit, before = w.detach().std(correction=0), w.detach().clone()
    quantiser.before_epoch(w, 0, 1)
    assert torch.equal(quantiser.mask, before.abs() > limit)
    by_rank = PrunedWeights(c.Prune(sparsity=0.25, steps=1), (8, 50), "fc1")
    by_rank.before_epoch(nn.Parameter(before), 0, 1)
    assert before[~by_rank.mask].abs().max() < before[by_rank.mask].abs().min()
    with pytest.raises(BnnhwError, match="layer 'fc1': sensitivity 16 prunes every weight; lower it"):
        PrunedWeights(c.Prune(sensitivity=16, steps=1), (8, 50), "fc1").before_epoch(w, 0, 1)


def test_kept_signs_have_the_mean_magnitude_of_the_kept_weights() -> None:
    quantiser = PrunedWeights(c.Prune(sparsity=0.5, steps=1), (2, 2), "fc1")
    w = nn.Parameter(torch.tensor([[4.0, -2.0], [0.5, 1.0]]))
    quantiser.before_epoch(w, 0, 1)
    assert quantiser(w).tolist() == [[3, -3], [0, 0]]
    found = quantiser.integers(w)
    assert found.values.tolist() == [[1, -1], [0, 0]] and found.unit.tolist() == [3, 1]


@pytest.mark.parametrize("norm", [1, 2])
def test_structured_pruning_removes_the_outputs_of_smallest_norm(norm: int, rng: np.random.Generator) -> None:
    w = nn.Parameter(normal(rng, 9, 4, 3, 3) * torch.arange(1, 10)[:, None, None, None])
    sizes = torch.linalg.vector_norm(w.detach().flatten(1), norm, 1)
    quantiser = StructuredPrunedWeights(c.PruneStructured(sparsity=0.34, norm=norm, steps=1), (9, 4, 3, 3), "conv1")
    quantiser.before_epoch(w, 0, 1)
    keep = structured_keep(quantiser)
    assert keep.tolist() == sorted(sizes.argsort()[3:].tolist())
    found = quantiser.integers(w)
    assert torch.equal(found.values.flatten(1).any(1).nonzero().flatten(), keep)


@pytest.mark.parametrize("spatial", [1, 6])
def test_shrunk_layers_compute_what_the_masked_ones_do(spatial: int, rng: np.random.Generator) -> None:
    conv, following, keep = normal(rng, 5, 3, 1, 1), normal(rng, 7, 5 * spatial), torch.tensor([0, 2, 3])
    norm = {"weight": normal(rng, 5), "running_mean": normal(rng, 5), "num_batches_tracked": torch.tensor(3)}
    small, small_norm, small_following = shrink(conv, norm, following, keep, spatial)
    x = normal(rng, 4, 3, 1, spatial)

    def run(a: Tensor, n: dict[str, Tensor], b: Tensor) -> Tensor:
        y = (F.conv2d(x, a) - n["running_mean"][:, None, None]) * n["weight"][:, None, None]
        return y.flatten(1) @ b.T

    masked = following.unflatten(1, (5, spatial)).index_fill(1, torch.tensor([1, 4]), 0).flatten(1)
    assert torch.allclose(run(small, small_norm, small_following), run(conv, norm, masked), atol=1e-4)
    assert small_norm["num_batches_tracked"] == 3
    assert shrink(conv, norm, normal(rng, 7, 5, 3, 3), keep)[2].shape == (7, 3, 3, 3)
    with pytest.raises(BnnhwError, match=r"the next layer has 5 inputs, 5 outputs of 4 pixels feed it; give"):
        shrink(conv, norm, following[:, :5], keep, 4)


@pytest.mark.parametrize("size", [1, 3])
def test_kmeans_error_falls_with_iterations_and_codewords(size: int, rng: np.random.Generator) -> None:
    points = normal(rng, 300, size).double()

    def error(n: int, iterations: int) -> float:
        start = linear_start(points, n) if size == 1 else spread_start(points, n, 0)
        centroids, index = kmeans(points, start, iterations)
        return float((points - centroids[index]).square().sum())

    by_iteration = [error(8, i) for i in range(6)]
    assert all(b <= a for a, b in itertools.pairwise(by_iteration)) and by_iteration[-1] < by_iteration[0]
    assert error(32, 30) < error(8, 30) < error(2, 30)


def test_equal_points_cluster() -> None:
    points = torch.ones(5, 2).double()
    centroids, index = kmeans(points, spread_start(points, 3, 0))
    assert torch.equal(centroids[index], points)


def test_codebook_starts_when_told_and_sums_the_gradients(rng: np.random.Generator) -> None:
    quantiser = CodebookWeights(c.KMeans(n=4, start=0.5), (6, 8), "fc1")
    w = nn.Parameter(normal(rng, 6, 8))
    quantiser.before_epoch(w, 1, 4)
    assert torch.equal(quantiser(w), w)
    quantiser.before_epoch(w, 2, 4)
    index, grad = quantiser.index.clone(), normal(rng, 6, 8)
    (quantiser(w) * grad).sum().backward()
    summed = torch.zeros(4).index_add(0, index.long(), grad.flatten())
    assert quantiser.codewords.grad is not None and torch.allclose(quantiser.codewords.grad.flatten(), summed, atol=1e-5)
    assert w.grad is None
    quantiser.before_epoch(nn.Parameter(-w.detach()), 3, 4)
    assert torch.equal(quantiser.index, index)
    assert (quantiser.integers(w).values.unique() <= 63).all() and len(quantiser.integers(w).values.unique()) <= 4


@pytest.mark.parametrize("along", ["rows", "columns"])
def test_runs_are_codewords(along: str, rng: np.random.Generator) -> None:
    w = normal(rng, 8, 12)
    values = CodebookWeights(c.KMeansRows(n=5, size=4, along=along, scale_bits=8), (8, 12), "fc1").integers(w).values
    matrix = values if along == "rows" else values.T
    assert len(matrix.reshape(-1, 4).unique(dim=0)) <= 5
    every = CodebookWeights(c.KMeansRows(n=24, size=4, along=along, scale_bits=8), (8, 12), "fc1").integers(w)
    assert ((weights_in(every.values, every.unit) - w).abs() <= 0.501 * every.unit[0]).all()


def test_hashed_weights_share_by_position_and_seed() -> None:
    shape = (50, 80)
    one, two, other = (HashedWeights(c.Hashed(buckets=40, seed=s), shape, "fc1") for s in (3, 3, 4))
    assert torch.equal(one.bucket, two.bucket) and not torch.equal(one.bucket, other.bucket)
    counts = torch.bincount(one.bucket.flatten(), minlength=40)
    assert counts.min() > 60 and counts.max() < 145 and abs(float(one.sign.float().mean())) < 0.05
    w = one(torch.zeros(shape))
    assert torch.equal(w * one.sign, one.shared[one.bucket])
    w.sum().backward()
    assert one.shared.grad is not None
    assert torch.equal(one.shared.grad, torch.zeros(40).index_add(0, one.bucket.flatten(), one.sign.flatten().float()))
    assert hash32(np.arange(3, dtype=np.uint32)).tolist() == [0, 0x514E28B7, 0x30F4C306]


@pytest.mark.parametrize(("widths", "budget"), [((1, 2, 4), 2.0), ((1, 2, 4), 1.0), ((2, 8), 3.3), ((1, 2, 4), 4.0)])
def test_impq_keeps_its_budget_and_spends_it_where_the_loss_feels_it(widths: tuple[int, ...], budget: float, rng: np.random.Generator) -> None:
    quantiser = ImpqWeights(c.Impq(widths=widths, budget=budget, steps=2), (20, 9), "fc1")
    w = nn.Parameter(normal(rng, 20, 9))
    quantiser.observe_gradient(normal(rng, 20, 9) * torch.arange(20)[:, None])
    quantiser.before_epoch(w, 0, 3)
    assert (quantiser.bits == widths[-1]).all()
    quantiser.before_epoch(w, 1, 3)
    half = quantiser.bits.clone()
    quantiser.before_epoch(w, 2, 3)
    assert (quantiser.bits <= half).all() and float(quantiser.bits.float().mean()) <= budget
    assert set(quantiser.bits.tolist()) <= set(widths)
    assert quantiser.bits[10:].sum() >= quantiser.bits[:10].sum()
    found = quantiser.integers(w)
    assert found.planes is not None and torch.equal(found.planes.values(), found.values)
    assert (found.values % 2 == 1).all() and (found.values.abs().amax(1) <= 2**quantiser.bits - 1).all()
    used = torch.arange(len(found.planes.scale))[:, None] < quantiser.bits
    assert torch.equal(found.planes.scale > 0, used)
    assert (found.planes.mask is None) == bool(used.all())
    if found.planes.mask is not None:
        assert torch.equal(found.planes.mask.all(2), used) and torch.equal(found.planes.mask.any(2), used)


def test_impq_refuses_gradients_it_cannot_weigh(rng: np.random.Generator) -> None:
    quantiser, w = ImpqWeights(c.Impq(), (4, 3), "fc1"), normal(rng, 4, 3)
    quantiser.observe_gradient(torch.full((4, 3), torch.inf))
    with pytest.raises(BnnhwError, match="layer 'fc1': a gradient was NaN"):
        allot([(w, quantiser)], 1, 2)


def test_reduced_bits_are_the_cheapest_where_costs_are_convex() -> None:
    widths, sizes = (1, 2, 4), np.ones(4, np.int64)
    cost = np.array([9.0, 1.0, 5.0, 0.1])[:, None] * 4.0 ** -np.array(widths)
    chosen = reduce_bits(cost, sizes, widths, 8, np.full(4, 2))
    best = min(sum(cost[g, i] for g, i in enumerate(p)) for p in itertools.product(range(3), repeat=4) if sum(widths[i] for i in p) <= 8)
    assert cost[np.arange(4), chosen].sum() == pytest.approx(best)


def test_bits_of_layers_follow_sensitivity_and_budget() -> None:
    felt, sizes = {"a": 100.0, "b": 1.0, "c": 0.0}, {"a": 10, "b": 1000, "c": 500}
    bits = allot_bits(felt, sizes, 3.0)
    assert bits["a"] > bits["b"] >= bits["c"] and sum(sizes[n] * b for n, b in bits.items()) <= 3 * 1510
    assert allot_bits(felt, sizes, 8.0) == dict.fromkeys(felt, 8)
    with pytest.raises(BnnhwError, match=r"a budget of 0.5 bits for 3 layers is below the narrowest width 1; raise it"):
        allot_bits(felt, sizes, 0.5)
    for bad in ({"a": float("nan")}, {"z": 1.0}):
        with pytest.raises(BnnhwError, match=r"layer '[az]': sensitivity"):
            allot_bits(bad, sizes, 2)


def test_sensitivity_table_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x, y = torch.randn(30, 6), torch.randint(3, (30,))
    teacher, before = model(x).detach(), {n: v.clone() for n, v in model.state_dict().items()}
    table = layer_sensitivity(model, ["0", "2"], lambda: float(F.mse_loss(model(x), teacher).detach()), quantised, (1, 2, 4, 8))
    assert all(v[8] < v[4] < v[2] for v in table.values())
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    rates = layer_sensitivity(model, ["2"], lambda: float((model[2].weight == 0).float().mean()), pruned, (0, 0.4))
    assert rates == {"2": {0: 0.0, 0.4: pytest.approx(0.4)}}
    with pytest.raises(BnnhwError, match="layer '7': the model has no such layer with a weight; choose one of 0, 1, 2"):
        layer_sensitivity(model, ["7"], lambda: 0.0, pruned, (0.5,))
    with pytest.raises(BnnhwError, match="layer 'fc': its weight has no gradient; call backward"):
        gradient_sensitivity({"fc": model[0].weight})
    F.cross_entropy(model(x), y).backward()
    assert gradient_sensitivity({"fc": model[0].weight})["fc"] > 0


def test_changes_refuse_levels_out_of_range() -> None:
    for change, level in ((pruned, 1.0), (pruned, -0.1), (quantised, 0), (quantised, 2.5)):
        with pytest.raises(BnnhwError, match="must be"):
            change(torch.ones(2, 2), level)


def test_low_rank_pairs_are_nearest_and_energy_chooses_the_rank(rng: np.random.Generator) -> None:
    w = normal(rng, 12, 5, 2, 2)
    errors = []
    for rank in range(1, 13):
        u, v = svd_pair(w, rank)
        assert u.shape == (12, rank) and v.shape == (rank, 20)
        errors.append(float((u @ v - w.flatten(1)).square().sum() / w.square().sum()))
        assert rank_for(w, 1 - errors[-1] - 1e-5) == rank
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-9
    assert rank_for(w, 1.0) == 12 and rank_for(torch.ones(3, 4), 0.999) == 1
    for call, message in (
        (lambda: svd_pair(w, 0, "fc1"), "layer 'fc1': rank must be 1 to 12, it is 0; choose"),
        (lambda: svd_pair(w, 13, "fc1"), "layer 'fc1': rank must be 1 to 12, it is 13"),
        (lambda: rank_for(w, 0, "fc1"), "layer 'fc1': energy must be above 0"),
        (lambda: svd_pair(torch.zeros(3, 3), 1, "fc1"), "layer 'fc1': .* not all 0"),
    ):
        with pytest.raises(BnnhwError, match=message):
            call()


def described(*rules: dict[str, object]) -> Topology:
    """Three dense layers with these rules."""
    layers = [{"type": "dense", "name": f"fc{n}", "out": 6 * n, "quantiser": rule} for n, rule in enumerate(rules, 1)]
    return Topology.model_validate(
        {"bnnhw": 1, "name": "n", "input": {"shape": [1, 2, 5], "type": "uint8", "preprocess": "2p-255"}, "layers": layers}
    )


def test_impq_across_the_network_spends_one_budget_in_the_layer_that_feels_it() -> None:
    shared = {"method": "impq", "across": "network", "budget": 2}
    model = build(described(shared, {"method": "impq", "budget": 1}, shared))
    weights = dict(zip(model.products, model.quantised(), strict=True))
    for name, felt in (("fc1", 0.01), ("fc2", 9.0), ("fc3", 1.0)):
        weight, quantiser = weights[name]
        quantiser.observe_gradient(torch.full_like(weight, felt))
    model.before_epoch(1, 2)
    bits = {name: quantiser.bits.float() for name, (_, quantiser) in weights.items()}
    assert (bits["fc2"] == 1).all(), "a layer with a budget of its own"
    sizes = {name: weight[0].numel() for name, (weight, _) in weights.items()}
    spent = sum(float(bits[n].sum()) * sizes[n] for n in ("fc1", "fc3"))
    most = 2 * sum(len(bits[n]) * sizes[n] for n in ("fc1", "fc3"))
    assert most - 4 * max(sizes.values()) < spent <= most
    assert bits["fc1"].mean() == 1 and bits["fc3"].mean() > 2


def test_impq_across_the_network_wants_one_rule() -> None:
    rules = ({"method": "impq", "across": "network"}, {"method": "impq", "across": "network", "budget": 3})
    with pytest.raises(BnnhwError, match=r"^layer 'fc2': impq across the network with another rule than 'fc1'; give both the same$"):
        build(described(*rules))


@pytest.mark.parametrize("shape", [(30, 12), (10, 8, 3, 2)], ids=str)
def test_product_codes_reconstruct_and_round(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    w = normal(rng, *shape)
    errors = [float((product_code(w, 4, n).weight() - w).square().sum()) for n in (1, 4, 16)]
    assert errors[0] > errors[1] > errors[2]
    code = product_code(w, 2, 30)
    assert code.weight().shape == w.shape and code.codebooks.shape == (shape[1] // 2, 30, 2)
    assert code.index.shape == (shape[0], *shape[2:], shape[1] // 2)
    if len(shape) == 2:
        assert torch.allclose(code.weight(), w, atol=1e-6)
    values, unit = code.integer_weight(5)
    assert values.abs().max() == 15 and ((values * unit - code.weight()).abs() <= 0.501 * unit).all()


@pytest.mark.parametrize("shape", [(20, 12), (10, 8, 3, 3)], ids=str)
def test_error_correction_lowers_the_response_error(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    w, k = normal(rng, *shape), int(np.prod(shape[1:]))
    x = normal(rng, 200, 3) @ normal(rng, 3, k) + 0.3 * normal(rng, 200, k)
    code = product_code(w, 4, 6)

    def error(found: Tensor) -> float:
        return float((x.double() @ (found - w).double().flatten(1).T).square().sum())

    errors = [error(corrected(code, w, x, sweeps).weight()) for sweeps in (0, 1, 2, 3)]
    assert errors[0] == error(code.weight()) and errors[1] < 0.8 * errors[0]
    assert all(b <= a * (1 + 1e-5) for a, b in itertools.pairwise(errors))


def test_product_codes_refuse_what_they_cannot_cut() -> None:
    w = torch.ones(4, 6)
    for call, message in (
        (lambda: product_code(w, 4, 2, layer="fc1"), "layer 'fc1': sub-vectors of 4 weights do not divide 6 input channels"),
        (lambda: product_code(w, 0, 2, layer="fc1"), "layer 'fc1': sub-vectors of 0"),
        (lambda: product_code(w, 2, 0, layer="fc1"), "layer 'fc1': codewords must be 1 to 4, it is 0"),
        (lambda: product_code(w * 0, 2, 2, layer="fc1"), "layer 'fc1': .* not all 0"),
        (lambda: product_code(w, 2, 2).integers(9, "fc1"), "layer 'fc1': codewords have 2 to 8 bits, they have 9"),
    ):
        with pytest.raises(BnnhwError, match=message):
            call()


@pytest.mark.parametrize("shape", [(40, 3, 3, 3), (1, 2, 1, 1), (30, 6, 1, 3), (50, 2, 2, 2)], ids=str)
def test_shared_kernels_reconstruct_exactly_and_save(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    w = torch.from_numpy(rng.choice([-1, 1], shape))
    shared = share_kernels(w)
    assert torch.equal(shared.weight(), w)
    taps = shape[2] * shape[3]
    assert all(len(k) <= min(shape[0], 2 ** (taps - 1)) and (k.flatten(1)[:, 0] == 1).all() for k in shared.kernels)
    before, after = shared.saving()
    assert before == shape[0] * (shape[1] * taps - 1)
    assert after == before - (shape[0] * shape[1] - sum(map(len, shared.kernels))) * (taps - 1)


def test_clustered_kernels_are_few_near_and_better_with_more(rng: np.random.Generator) -> None:
    w = torch.from_numpy(rng.choice([-1, 1], (60, 4, 3, 3)))
    wrong = []
    for n in (1, 4, 16, 60):
        shared = share_kernels(w, n)
        assert all(len(k) <= n for k in shared.kernels)
        distance = (shared.weight() != w).flatten(2).sum(2)
        for ch, kernels in enumerate(shared.kernels):
            dots = w[:, ch].flatten(1) @ kernels.flatten(1).T
            assert torch.equal(distance[:, ch], (9 - dots.abs().amax(1)) // 2)
        wrong.append(int(distance.sum()))
    assert wrong == sorted(wrong, reverse=True) and wrong[-1] == 0 < wrong[0]
    for call, message in (
        (lambda: share_kernels(w, 0, "conv1"), "layer 'conv1': kernels of a channel must be 1 to 60, it is 0"),
        (lambda: share_kernels(w * 2, layer="conv1"), "layer 'conv1': .* binarise"),
    ):
        with pytest.raises(BnnhwError, match=message):
            call()


def test_factors_are_ternary_and_their_error_never_rises(rng: np.random.Generator) -> None:
    w = normal(rng, 16, 3, 2, 2)
    coarse, fine = factorise(w, 4, 5), factorise(w, 16, 5)
    for f in (coarse, fine):
        assert all(b <= a + 1e-12 for a, b in itertools.pairwise(f.errors)) and len(f.errors) == 6
        assert set(f.x.unique().tolist()) <= {-1, 0, 1} and set(f.y.unique().tolist()) <= {-1, 0, 1} and (f.d > 0).all()
        assert float((f.weight() - w.flatten(1)).square().sum() / w.square().sum()) == pytest.approx(f.errors[-1], abs=1e-5)
        values, unit = f.integers(6)
        assert values.max() == 63 and ((values * unit - f.d).abs() <= 0.501 * unit).all()
    assert fine.errors[-1] < coarse.errors[-1] and fine.errors[-1] < fine.errors[0]


def test_factors_find_a_ternary_product() -> None:
    x, y = torch.tensor([1.0, 0, -1, 1]), torch.tensor([0.0, 1, 1, -1, 0])
    found = factorise(torch.outer(x, y) * 2.5, 3)
    assert found.d.tolist() == [2.5] and torch.equal(found.weight(), torch.outer(x, y) * 2.5)
    for call, message in (
        (lambda: factorise(torch.ones(2, 2), 0, layer="fc1"), "layer 'fc1': rank must be 1 to 4, it is 0"),
        (lambda: factorise(torch.zeros(2, 2), 1, layer="fc1"), "layer 'fc1': .* not all 0"),
        (lambda: found.integers(9, "fc1"), "layer 'fc1': scale bits must be 1 to 8, it is 9"),
    ):
        with pytest.raises(BnnhwError, match=message):
            call()


def test_dropout_shrinks_with_the_root_of_what_is_kept() -> None:
    assert rescaled_dropout(0.5, 1) == 0.5 and rescaled_dropout(0.5, 0.25) == 0.25
    for p, kept in ((1, 0.5), (0.5, 0), (0.5, 1.1), (float("nan"), 0.5)):
        with pytest.raises(BnnhwError, match="must be in"):
            rescaled_dropout(p, kept)


def test_penalty_sums_magnitudes_and_squares() -> None:
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    found = penalty([w, torch.tensor([[3.0]])], 0.1, 0.01)
    found.backward()
    assert float(found.detach()) == pytest.approx(0.6 + 0.14) and w.grad is not None and torch.allclose(w.grad, torch.tensor([0.12, -0.14]))
