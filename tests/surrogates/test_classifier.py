"""The classifier: probabilities against truth and against logistic regression, uncertainty, BoTorch, state."""

import math

import pytest
import torch
from botorch.sampling import SobolQMCNormalSampler
from botorch.sampling.get_sampler import get_sampler
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from surrogates.classifier import PBNNClassifier
from surrogates.errors import SurrogateError
from surrogates.priors import LogGrid

SVI = {"kind": "svi", "steps": 120, "draws": 32}
SMALL = {"network": {"hidden": [8]}, "members": 2, "epochs": 15, "lr": 0.03, "inference": SVI}


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(X):
    """Probabilities ``(n, 3)`` of classes that overlap along the first input."""
    x = 10 * (X[:, 0] + 0.2 * torch.sin(5 * X[:, 1]))
    return torch.softmax(torch.stack([torch.zeros_like(x), x - 4, 2 * x - 11], -1), -1)


def data(n, seed=0):
    X = rand(n, 2, seed=seed)
    labels = torch.multinomial(truth(X), 1, generator=torch.Generator().manual_seed(seed + 1)).squeeze(-1)
    return X, labels


@pytest.fixture(scope="module")
def model():
    return PBNNClassifier(*data(120), classes=("small", "middle", "large"), **SMALL)


def calibration_error(p, labels, bins=10):
    """Expected calibration error (Guo et al., 2017, arXiv:1706.04599)."""
    confidence, predicted = p.max(-1)
    correct = (predicted == labels).double()
    which = (confidence * bins).long().clamp_max(bins - 1)
    gaps = [
        (which == b).double().mean() * (confidence[which == b].mean() - correct[which == b].mean()).abs()
        for b in which.unique()
    ]
    return float(sum(gaps))


def test_probabilities_are_calibrated_and_close_to_the_truth():
    model = PBNNClassifier(*data(400), network={"hidden": [32, 16]}, inference={**SVI, "steps": 300, "lr": 0.05})
    X, labels = data(3000, seed=50)
    p, expected = model.predict_proba(X), truth(X)
    assert calibration_error(expected, labels) < 0.02  # what chance leaves
    assert calibration_error(p, labels) < 0.04
    assert float((p - expected).square().mean().sqrt()) < 0.08
    best = (expected.argmax(-1) == labels).double().mean()
    assert (model.predict(X) == labels).double().mean() > best - 0.02


def test_the_last_layer_is_bayesian_logistic_regression():
    """On features that are not trained scikit-learn's optimum is the mode, and many points tie the mean to it."""
    X, labels = data(500)
    model = PBNNClassifier(
        X,
        labels,
        members=1,
        network={"hidden": [6]},
        epochs=0,
        prior_sd=LogGrid.fixed(3.0),
        inference={"kind": "svi", "guide": "multivariate", "steps": 800, "lr": 0.05, "batch_size": 512},
    )

    def design(points):
        h = model.networks.before(points, 1)[0] / math.sqrt(6)
        return torch.cat([h, torch.ones(len(points), 1, dtype=torch.float64)], 1).numpy()

    reference = LogisticRegression(C=3.0**2, fit_intercept=False, max_iter=2000).fit(design(X), labels.numpy())
    new = rand(200, 2, seed=9)
    expected = torch.as_tensor(reference.predict_proba(design(new)))
    torch.testing.assert_close(model.predict_proba(new), expected, atol=0.03, rtol=0)


def test_uncertainty_has_two_parts():
    """Between classes the data are ambiguous; where there were none the networks disagree."""
    X, labels = data(300)
    inside = (X[:, 1] < 0.5).nonzero().squeeze(-1)
    seen = PBNNClassifier(X[inside], labels[inside], **{**SMALL, "members": 4, "epochs": 40})

    def along(x0, x1):
        return torch.stack(torch.broadcast_tensors(torch.as_tensor(x0), torch.as_tensor(x1)), -1).double()

    x = torch.linspace(0, 1, 50)
    border, clear, near, away = along(0.4, x / 2), along(0.98, x / 2), along(x, 0.25), along(x, 1.0)
    assert seen.entropy(border).mean() > 2 * seen.entropy(clear).mean()
    assert seen.mutual_information(away).mean() > 1.5 * seen.mutual_information(near).mean()
    for points in (border, clear, away):
        assert (seen.mutual_information(points) <= seen.entropy(points) + 1e-12).all()
        assert (seen.entropy(points) <= math.log(3) + 1e-12).all()


def test_entropies_are_those_of_the_draws(model):
    X = rand(7, 2, seed=5)
    p = model.posterior(X).values  # (S, 7, 3)
    mean = p.mean(0)
    total = torch.distributions.Categorical(mean).entropy()
    within = torch.distributions.Categorical(p).entropy().mean(0)
    torch.testing.assert_close(model.predict_proba(X), mean)
    torch.testing.assert_close(model.entropy(X), total)
    torch.testing.assert_close(model.mutual_information(X), total - within)


@given(batch=st.lists(st.integers(1, 3), max_size=2), q=st.integers(1, 3), samples=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_posterior_of_any_batch_is_that_of_its_points(model, batch, q, samples):
    X = rand(*batch, q, 2, seed=6)
    posterior = model.posterior(X)
    assert posterior.mean.shape == (*batch, q, 3)
    torch.testing.assert_close(posterior.mean.reshape(-1, 3), model.predict_proba(X.reshape(-1, 2)))
    drawn = posterior.rsample(torch.Size([samples]))
    assert drawn.shape == (samples, *batch, q, 3)
    torch.testing.assert_close(drawn.sum(-1), torch.ones_like(drawn[..., 0]))
    torch.testing.assert_close(model.posterior(X, output_indices=[2, 0]).mean, posterior.mean[..., [2, 0]])


def test_posterior_is_differentiable_and_works_with_botorch_s_samplers(model):
    X = rand(4, 2, 2, seed=7).requires_grad_()
    posterior = model.posterior(X)
    sampler = get_sampler(posterior, torch.Size([8]), seed=0)
    gradient = torch.autograd.grad(sampler(posterior)[..., 1].sum(), X)[0]
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).any()
    assert not isinstance(sampler, SobolQMCNormalSampler)


def test_large_sets_are_predicted_in_parts(model, monkeypatch):
    X = rand(50, 2, seed=8)
    whole = model.predict_proba(X)
    monkeypatch.setattr("surrogates.class_model._MAX_ENTRIES", 1000)
    torch.testing.assert_close(model.predict_proba(X), whole)
    assert model.predict_proba(X[:0]).shape == (0, 3)


def test_a_seed_gives_the_same_model_and_leaves_the_global_state_alone():
    X, labels = data(40)
    state = torch.random.get_rng_state()
    a, b, c = (PBNNClassifier(X, labels, seed=seed, **SMALL).predict_proba(X) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_loaded_predicts_bit_by_bit(model, tmp_path):
    X = rand(20, 2, seed=10)
    for name, data_too in (("with", True), ("without", False)):
        model.save(tmp_path / name, data=data_too)
        loaded = PBNNClassifier.load(tmp_path / name)
        assert torch.equal(loaded.predict_proba(X), model.predict_proba(X))
        assert loaded.class_names == ("small", "middle", "large")
        assert loaded.diagnostics()["engine"] == "svi"
    with pytest.raises(SurrogateError, match="without its data"):
        loaded.update(*data(3))


def test_what_is_not_a_classifier_is_not_loaded(model, tmp_path):
    with pytest.raises(SurrogateError, match="no model can be read"):
        PBNNClassifier.load(tmp_path / "nothing")
    model.save(tmp_path / "model")
    file = tmp_path / "model.json"
    file.write_text(file.read_text().replace('"classes"', '"kinds"'))
    with pytest.raises(SurrogateError, match="classes"):
        PBNNClassifier.load(tmp_path / "model")


def test_an_update_learns_and_leaves_the_old_model_alone():
    X, labels = data(150)
    few = PBNNClassifier(X[:20], labels[:20], classes=3, **SMALL)
    new, truth_there = rand(500, 2, seed=11), truth(rand(500, 2, seed=11))
    before = few.predict_proba(new)
    more = few.update(X[20:], labels[20:])
    assert torch.equal(few.predict_proba(new), before)
    assert len(more.train_inputs[0]) == 150
    error = [(p - truth_there).square().mean() for p in (before, more.predict_proba(new))]
    assert error[1] < 0.7 * error[0]


def test_diagnostics_are_numbers_and_words(model):
    found = model.diagnostics()
    assert found["engine"] == "svi"
    assert found["classes"] == 3.0
    assert found["converged"] in (0.0, 1.0)
    assert found["prior_sd"] > 0
    assert "elbo" in found
    assert model.converged == bool(found["converged"])


def test_single_precision_comes_back_as_it_went_in():
    X, labels = data(30)
    model = PBNNClassifier(X.float(), labels, **SMALL)
    assert model.predict_proba(X.float()).dtype == torch.float32
    assert model.posterior(X.float()).mean.dtype == torch.float32
    assert model.train_inputs[0].dtype == torch.float32


def test_curves_are_classified_by_a_convolutional_network():
    t = torch.linspace(0, 1, 24, dtype=torch.float64)
    place, labels = 0.2 + 0.6 * rand(90, 1, seed=12), torch.arange(90) % 2
    width = torch.where(labels.bool(), 0.05, 0.15).unsqueeze(1)
    X = 0.2 + 0.6 * torch.exp(-0.5 * ((t - place) / width) ** 2) + 0.03 * rand(90, 24, seed=13)
    network = {"kind": "convnet", "channels": [4, 6], "hidden": [8]}
    model = PBNNClassifier(X[:60], labels[:60], **{**SMALL, "network": network, "batch_size": 16})
    assert (model.predict(X[60:]) == labels[60:]).double().mean() > 0.9


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (torch.tensor([0, 1, 3, 1]), {"classes": 3}, "from 0 to 2, got 3 in row 2"),
        (torch.tensor([0, -1, 1, 1]), {}, "got -1 in row 1"),
        (torch.tensor([0.0, 1.0, 1.0, 0.0]), {}, "integers"),
        (torch.tensor([0, 1, 1]), {}, "same n"),
        (torch.tensor([0, 0, 0, 0]), {}, "two classes"),
        (torch.tensor([0, 1, 1, 0]), {"classes": ["a", "a"]}, "name of its own"),
        (torch.tensor([0, 1, 1, 0]), {"inference": "linearised"}, "Gaussian"),
        (torch.tensor([0, 1, 1, 0]), {"members": 0}, "members"),
        (torch.tensor([0, 1, 1, 0]), {"bayesian": "dense7"}, "dense7"),
        (torch.tensor([0, 1, 1, 0]), {"batch_size": 0}, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(labels, options, message):
    with pytest.raises(SurrogateError, match=message):
        PBNNClassifier(rand(4, 2), labels, **{**SMALL, "epochs": 1, **options})


def test_probabilities_are_not_observed(model):
    with pytest.raises(SurrogateError, match="not observed"):
        model.posterior(rand(2, 2), observation_noise=True)
    with pytest.raises(SurrogateError, match="points must be"):
        model.predict_proba(rand(2, 3))
    with pytest.raises(SurrogateError, match="points must be"):
        model.predict_proba(rand(2, 2, 2))
