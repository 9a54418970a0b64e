"""Pretrained priors: their scaling, their files, and what they do to a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks import NetworkEnsemble, make_architecture
from surrogates.pbnn import PBNN
from surrogates.pretrained import PretrainedPrior
from surrogates.pretraining import data_hash, pretrain
from surrogates.priors import WeightPrior

D = torch.float64
LOW, HIGH = [0.0, -1.0], [10.0, 1.0]


def theory(X: Tensor) -> Tensor:
    """Two outputs of very different size, at physical inputs."""
    u = (X - torch.tensor(LOW, dtype=D)) / (torch.tensor(HIGH, dtype=D) - torch.tensor(LOW, dtype=D))
    f = torch.sin(6 * u[:, :1]) + u[:, 1:]
    return torch.cat([100 * f + 30, 3 - f], 1)


def rows(n: int, seed: int) -> Tensor:
    cube = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=D)
    return torch.tensor(LOW, dtype=D) + cube * (torch.tensor(HIGH, dtype=D) - torch.tensor(LOW, dtype=D))


@pytest.fixture(scope="module")
def prior() -> PretrainedPrior:
    X = rows(300, 0)
    return pretrain(
        X,
        theory(X),
        input_names=["t", "x"],
        low=LOW,
        high=HIGH,
        output_names=["u", "v"],
        seed=1,
        network={"kind": "mlp", "hidden": [24, 24]},
        members=3,
        epochs=250,
        batch_size=128,
        lr=0.02,
        description="sine",
        date="2026-01-02",
    )


def random_prior(hidden: tuple[int, ...], d: int, m: int, seed: int, kind: str = "mlp") -> PretrainedPrior:
    architecture = make_architecture({"kind": kind, "hidden": hidden}, d, 1)
    generator = torch.Generator().manual_seed(seed)
    networks = NetworkEnsemble.draw(architecture, 2 * m, prior=WeightPrior(), generator=generator, dtype=D)
    low = torch.randn(d, generator=generator, dtype=D)
    span = 0.1 + torch.rand(d, generator=generator, dtype=D)
    one = torch.ones(m, dtype=D)
    names = tuple(f"x{i}" for i in range(d)), tuple(f"y{i}" for i in range(m))
    return PretrainedPrior(networks, *names, low, low + span, 3 * one, 2 * one, one, one, {})


def test_it_learns_and_says_how_well(prior: PretrainedPrior) -> None:
    fresh = rows(200, 9)
    away = prior.function(fresh).mean(0) - theory(fresh)
    rmse = away.square().mean(0).sqrt()
    spread = theory(fresh).std(0)
    assert (rmse < 0.15 * spread).all()
    for i, name in enumerate(prior.output_names):
        metrics = prior.card["metrics"][name]
        assert metrics["rmse"] == pytest.approx(float(rmse[i]), rel=0.6)
        assert metrics["r2"] > 0.97
    assert prior.card["data"]["rows"] == 300
    assert prior.card["data"]["trained_on"] + prior.card["data"]["held_out"] == 300
    assert prior.card["date"] == "2026-01-02"


def test_seed_decides_and_the_global_generator_is_left_alone() -> None:
    X = rows(40, 0)
    options = {"input_names": ["t", "x"], "low": LOW, "high": HIGH, "output_names": ["u", "v"], "epochs": 3}
    before = torch.get_rng_state()
    a, b, c = (pretrain(X, theory(X), seed=seed, **options) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a.function(X), b.function(X))
    assert not torch.equal(a.function(X), c.function(X))


@settings(deadline=None, max_examples=25)
@given(
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    d=st.integers(1, 4),
    m=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_other_bounds_and_standardisation_are_the_same_function(hidden: list[int], d: int, m: int, seed: int) -> None:
    prior = random_prior(tuple(hidden), d, m, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    low = torch.randn(d, generator=generator, dtype=D)
    high = low + 0.1 + torch.rand(d, generator=generator, dtype=D)
    shift = torch.randn(m, generator=generator, dtype=D)
    scale = 0.1 + torch.rand(m, generator=generator, dtype=D)
    X = torch.randn(7, d, generator=generator, dtype=D)
    moved = prior.rescaled(low, high).standardised(shift, scale)
    torch.testing.assert_close(moved.function(X), prior.function(X))
    # And the networks themselves compute it in the new units.
    direct = moved.networks((X - low) / (high - low)).squeeze(-1).unflatten(0, (m, 2))
    expected = (prior.function(X).movedim(-1, 0) - shift[:, None, None]) / scale[:, None, None]
    torch.testing.assert_close(direct, expected)


def test_select_takes_the_right_networks() -> None:
    prior = random_prior((5,), 2, 3, 0)
    X = torch.rand(4, 2, dtype=D, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior.select(["y2", "y0"]).function(X), prior.function(X)[..., [2, 0]])
    with pytest.raises(SurrogateError, match="not of z"):
        prior.select(["z"])


def test_fitted_to_a_space_in_another_order(prior: PretrainedPrior) -> None:
    fitted = prior.fitted_to(["x", "t"], [-0.5, 2.0], [0.5, 8.0])
    X = rows(5, 3)
    torch.testing.assert_close(fitted.function(X.flip(-1)), prior.function(X))
    with pytest.raises(SurrogateError, match="t, x, and the space has t, y"):
        prior.fitted_to(["t", "y"], LOW, HIGH)
    with pytest.raises(SurrogateError, match="trained on t from 0 to 10, and the space goes from -5 to 10"):
        prior.fitted_to(["t", "x"], [-5.0, -1.0], HIGH)


def test_a_saved_prior_is_the_same(prior: PretrainedPrior, tmp_path: Path) -> None:
    prior.save(tmp_path / "p")
    X = rows(5, 3)
    for name in ("p", "p.json", "p.safetensors"):
        again = PretrainedPrior.load(tmp_path / name)
        assert torch.equal(again.function(X), prior.function(X))
    assert again.card == prior.card
    assert torch.equal(again.width, prior.width)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "something", "not the card of a pretrained prior"),
        ("version", 99, "version 99"),
        ("network", {"kind": "mlp", "hidden": [7, 7]}, "must be"),
        ("network", {"kind": "nothing"}, "unknown network kind"),
        ("input_names", ["a"], "must be"),
        ("output_names", None, "is not a prior that this version wrote"),
    ],
)
def test_a_foreign_file_is_refused(
    prior: PretrainedPrior, tmp_path: Path, key: str, value: object, message: str
) -> None:
    prior.save(tmp_path / "p")
    card = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps({**card, key: value}))
    with pytest.raises(SurrogateError, match=message):
        PretrainedPrior.load(tmp_path / "p")


def test_broken_and_missing_files_are_refused(prior: PretrainedPrior, tmp_path: Path) -> None:
    with pytest.raises(SurrogateError, match="no model can be read"):
        PretrainedPrior.load(tmp_path / "p")
    prior.save(tmp_path / "p")
    (tmp_path / "p.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(SurrogateError, match="no model can be read"):
        PretrainedPrior.load(tmp_path / "p")


def test_groups_are_not_divided() -> None:
    X = rows(60, 0)
    groups = [str(i // 20) for i in range(60)]
    options = {"input_names": ["t", "x"], "low": LOW, "high": HIGH, "output_names": ["u", "v"], "epochs": 1}
    found = pretrain(X, theory(X), seed=0, groups=groups, **options)  # type: ignore[arg-type]
    assert found.card["data"]["held_out"] == 20
    with pytest.raises(SurrogateError, match="60 rows in 1 groups"):
        pretrain(X, theory(X), seed=0, groups=["a"] * 60, **options)  # type: ignore[arg-type]


def test_data_that_cannot_be_used_is_refused() -> None:
    X = rows(30, 0)
    Y = theory(X)
    options = {"input_names": ["t", "x"], "low": LOW, "high": HIGH, "output_names": ["u", "v"], "seed": 0}
    Y[3, 1] = torch.nan
    with pytest.raises(SurrogateError, match=r"1 of Y are not \(row 3"):
        pretrain(X, Y, **options)  # type: ignore[arg-type]
    with pytest.raises(SurrogateError, match="low < high"):
        pretrain(X, theory(X), **{**options, "high": [0.0, 1.0]})  # type: ignore[arg-type]
    with pytest.raises(SurrogateError, match="Y has 2 columns"):
        pretrain(X, theory(X), **{**options, "output_names": ["u"]})  # type: ignore[arg-type]


def test_the_hash_is_of_the_numbers() -> None:
    X = rows(3, 0)
    assert data_hash(X, X) == data_hash(X.clone(), X)
    assert data_hash(X, X) != data_hash(X, X + 1e-12)


def cube(X: Tensor) -> Tensor:
    return (X - torch.tensor(LOW, dtype=D)) / (torch.tensor(HIGH, dtype=D) - torch.tensor(LOW, dtype=D))


def truth(X: Tensor) -> Tensor:
    """Theory off by an affine map."""
    return 0.8 * theory(X) + 5


def error(model: PBNN, X: Tensor) -> Tensor:
    return (model.posterior(cube(X)).mean - truth(X)).square().mean(0).sqrt().detach()


def test_a_right_theory_helps_and_a_wrong_one_loses_its_weight(prior: PretrainedPrior) -> None:
    X, test = rows(12, 5), rows(200, 6)
    network = {"kind": "mlp", "hidden": [24, 24]}
    plain = PBNN(cube(X), truth(X), seed=0, network=network)
    knowing = PBNN(cube(X), truth(X), seed=0, prior=prior)
    # The second output is easy without theory too: there it must do no harm.
    assert (error(knowing, test) < torch.tensor([0.4, 1.1]) * error(plain, test)).all()
    assert knowing.diagnostics()["weight_theory.0"] > 0.9
    backwards = replace(prior, networks=prior.networks.map(lambda t: t.roll(3, 0)))  # the other output's, upside down
    misled = PBNN(cube(X), truth(X), seed=0, prior=backwards)
    found = misled.diagnostics()
    # Turned over again by its slope, or moved, it may be of use.
    assert found["weight_networks_theory.0"] + found["weight_stationary_theory.0"] < 0.1
    assert (error(misled, test) < 1.1 * error(plain, test)).all()


def test_a_model_with_a_prior_is_restored_and_updated(prior: PretrainedPrior, tmp_path: Path) -> None:
    X, more, test = rows(8, 5), rows(2, 7), rows(9, 6)
    prior.save(tmp_path / "prior")
    model = PBNN(cube(X), truth(X), seed=0, prior=tmp_path / "prior", members=2)
    assert model.mixture_weights.shape == (2, 2 + 1 + 2 + 1 + 1 + 4)
    model.save(tmp_path / "model")
    again = PBNN.load(tmp_path / "model")
    for a, b in ((model, again), (model.update(cube(more), truth(more)), again.update(cube(more), truth(more)))):
        assert torch.equal(a.posterior(cube(test)).mean, b.posterior(cube(test)).mean)
        assert torch.equal(a.posterior(cube(test)).variance, b.posterior(cube(test)).variance)


def test_the_posterior_mean_has_its_gradient(prior: PretrainedPrior) -> None:
    X = rows(8, 5)
    model = PBNN(cube(X), truth(X), seed=0, prior=prior)
    point = torch.full((1, 2), 0.4, dtype=D, requires_grad=True)
    (slope,) = torch.autograd.grad(model.posterior(point).mean.sum(), point)
    for i in range(2):
        step = torch.zeros(1, 2, dtype=D)
        step[0, i] = 1e-5
        at = point.detach()
        rise = (model.posterior(at + step).mean - model.posterior(at - step).mean).sum().detach()
        assert float(slope[0, i]) == pytest.approx(float(rise) / 2e-5, rel=1e-4)


def test_a_prior_that_does_not_fit_the_model_is_refused(prior: PretrainedPrior) -> None:
    X = rows(8, 5)
    with pytest.raises(SurrogateError, match="2 inputs and 1 outputs"):
        PBNN(cube(X), truth(X)[:, :1], prior=prior)
    with pytest.raises(SurrogateError, match="leave network out"):
        PBNN(cube(X), truth(X), prior=prior, network={"hidden": [3]})
