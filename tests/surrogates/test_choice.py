"""Which engine infers: the stated rule, the way on when the first does not converge, words for what cannot be."""

from dataclasses import dataclass, replace

import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.inference import choice
from surrogates.inference.base import Problem
from surrogates.inference.choice import ENGINES, automatic, describe_engine, infer, make_engine
from surrogates.inference.draws import DrawsPosterior
from surrogates.likelihoods import make_likelihood
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.networks.convnet import ConvNet1d
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid, WeightPrior

D = torch.float64


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def problem(likelihood="gaussian", layers=(0, 1, 2), n=10, architecture=None):
    kind = make_likelihood(likelihood)
    architecture = MLP(2, kind.heads, hidden=(50, 40)) if architecture is None else architecture
    networks = NetworkEnsemble.draw(
        architecture, 2, prior=WeightPrior(), generator=torch.Generator().manual_seed(0), dtype=D
    )
    X, grid = rand(n, architecture.n_inputs), LogGrid(0.1, 1.0, 5)
    return Problem(networks, layers, X, torch.zeros(2, n, dtype=D), None, grid, grid, X[:5], likelihood=kind)


OTHERS = ["student_t", "heteroscedastic", {"kind": "categorical", "classes": 3}]


def test_gaussian_noise_has_closed_forms():
    assert automatic(problem(layers=(2,))) == ("conjugate",)
    for layers in ((0,), (0, 1, 2), (1, 2)):
        assert automatic(problem(layers=layers)) == ("linearised",)
    # However much there is.
    assert automatic(problem(n=5000)) == ("linearised",)


@pytest.mark.parametrize("likelihood", OTHERS)
@pytest.mark.parametrize("layers", [(2,), (0, 1, 2)])
def test_other_likelihoods_are_sampled(likelihood, layers):
    assert automatic(problem(likelihood, layers)) == ("hmc", "svi")


def test_what_is_too_large_to_sample_is_approximated_first():
    """50 * 2 + 50 + 40 * 50 + 40 + 40 + 1 = 2231 parameters: up to 896 points make two million."""
    assert automatic(problem("student_t", n=896)) == ("hmc", "svi")
    assert automatic(problem("student_t", n=897)) == ("svi", "hmc")
    # Layers that are not inferred do not count.
    assert automatic(problem("student_t", (2,), n=5000)) == ("hmc", "svi")


def test_layers_that_are_not_dense_are_approximated_first():
    architecture = ConvNet1d(16, channels=(2,), hidden=(4,))
    assert automatic(problem("student_t", (0, 1, 2), architecture=architecture)) == ("svi", "hmc")
    assert automatic(problem("student_t", (1, 2), architecture=architecture)) == ("hmc", "svi")


calls: list[str] = []


@dataclass(frozen=True)
class Stub:
    """Draws of nothing, converged or not."""

    good: bool = True
    name = "stub"

    def infer(self, problem):
        calls.append(self.name)
        members = problem.networks.members
        drawn = {
            i: {k: t[:, None, None].repeat(1, 1, 2, *[1] * (t.ndim - 1)) for k, t in own.items()}
            for i, own in enumerate(problem.networks.parameters)
            if i in problem.layers
        }
        scales = torch.full((members, 1, 2), 0.5, dtype=D)
        report = {"r_hat": 1.0 if self.good else 2.0}
        return DrawsPosterior(
            problem.networks, problem.layers, problem.likelihood, drawn, scales, scales, report, self.good
        )

    def update(self, posterior, problem):
        return self.infer(problem)

    def restore(self, problem, state):
        return DrawsPosterior.restore(problem, state)


class GoodHMC(Stub):
    name = "hmc"


class GoodSVI(Stub):
    name = "svi"


class BadHMC(Stub):
    name = "hmc"

    def __init__(self, good=False):
        super().__init__(False)


class BadSVI(BadHMC):
    name = "svi"


@pytest.fixture
def engines(monkeypatch):
    """Put stubs in the engines' places."""

    def put(**stubs):
        calls.clear()
        for kind, stub in stubs.items():
            monkeypatch.setattr(choice, "_stub_" + kind, stub, raising=False)
            monkeypatch.setitem(ENGINES, kind, f"surrogates.inference.choice:_stub_{kind}")

    return put


@pytest.mark.parametrize(
    ("hmc", "svi", "name", "failed", "tried"),
    [
        (GoodHMC, GoodSVI, "hmc", (), ["hmc"]),
        (BadHMC, GoodSVI, "svi", ("hmc",), ["hmc", "svi"]),
        (BadHMC, BadSVI, "svi", ("hmc",), ["hmc", "svi"]),
    ],
)
def test_first_that_converges_is_taken(engines, hmc, svi, name, failed, tried):
    engines(hmc=hmc, svi=svi)
    found = infer(problem("student_t"), "auto")
    assert found.engine.name == name
    assert found.failed == failed
    assert calls == tried
    assert found.posterior.converged is found.engine.good


def test_sampling_stands_in_for_a_fit_that_does_not_converge(engines):
    engines(hmc=GoodHMC, svi=BadSVI)
    found = infer(problem("student_t", n=900), "auto")
    assert (found.engine.name, found.failed, calls) == ("hmc", ("svi",), ["svi", "hmc"])


@pytest.mark.parametrize("spec", ["hmc", {"kind": "hmc"}])
def test_engine_asked_for_is_never_replaced(engines, spec):
    engines(hmc=BadHMC, svi=GoodSVI)
    found = infer(problem("student_t"), spec)
    assert (found.engine.name, found.failed, calls) == ("hmc", (), ["hmc"])
    assert found.posterior.converged is False


def test_model_says_what_failed(engines, tmp_path):
    engines(hmc=BadHMC, svi=GoodSVI)
    X, Y = rand(6, 2), rand(6, 1, seed=1)
    options = {"network": {"hidden": (4, 3)}, "members": 2, "epochs": 5, "likelihood": "student_t"}
    model = PBNN(X, Y, **options)
    found = model.diagnostics()
    assert (found["engine"], found["failed"], found["converged"]) == ("svi", "hmc", 1.0)
    assert found["r_hat"] == 1.0
    assert model.converged is True
    model.save(tmp_path / "model")
    assert PBNN.load(tmp_path / "model").diagnostics() == found
    # An update asks the engine that was found, and no other.
    calls.clear()
    assert model.update(rand(1, 2, seed=2), rand(1, 1, seed=3)).diagnostics()["engine"] == "svi"
    assert calls == ["svi"]
    explicit = PBNN(X, Y, inference="hmc", **options)
    assert explicit.converged is False
    assert explicit.diagnostics()["converged"] == 0.0
    assert explicit.diagnostics()["engine"] == "hmc"


@pytest.mark.parametrize("kind", ["conjugate", "linearised", "hmc", "nuts", "svi"])
def test_engines_are_rebuilt_from_their_description(kind):
    engine = make_engine(kind)
    spec = describe_engine(engine)
    assert spec["kind"] == kind
    again = make_engine(spec)
    assert type(again) is type(engine)
    assert describe_engine(again) == spec


def test_options_reach_the_engine():
    assert describe_engine(make_engine({"kind": "svi", "steps": 77, "guide": "low_rank"}))["steps"] == 77


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("magic", "unknown inference engine 'magic'.*nuts"),
        ({"steps": 3}, "unknown inference engine None"),
        ({"kind": "svi", "legs": 4}, "legs"),
        ({"kind": "conjugate", "chains": 4}, "chains"),
        ("auto", "unknown inference engine 'auto'"),
    ],
)
def test_unknown_engines_and_options_are_refused_in_words(spec, message):
    with pytest.raises(SurrogateError, match=message):
        make_engine(spec)


def test_closed_forms_refuse_other_noise_whoever_asks():
    for kind in ("linearised", "conjugate"):
        with pytest.raises(SurrogateError, match="needs Gaussian noise"):
            infer(replace(problem("student_t"), layers=(2,)), kind)
