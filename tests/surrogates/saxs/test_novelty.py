import numpy as np
import pytest

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import QGrid, rebin
from surrogates.saxs.features import Encoder
from surrogates.saxs.instrument import InstrumentReference
from surrogates.saxs.novelty import conformal_p
from surrogates.saxs.shape import ShapeModel

GRID = QGrid()
Q = np.geomspace(0.003, 0.5, 150)


def curves(n, seed, noise=0.02, kind="known", q=Q):
    rng = np.random.default_rng(seed)
    a, b, r = 10 ** rng.normal(0, 0.2, (3, n, 1))
    clean = a * 1e-6 * q**-4 + b * np.exp(-((30 * r * q) ** 2) / 3) + 0.05
    if kind == "peak":
        clean = clean * (1 + 2 * np.exp(-0.5 * ((q - 0.1) / 0.01) ** 2))
    return rebin(q, clean * (1 + noise * rng.standard_normal(clean.shape)), noise * clean, GRID)


def test_conformal_p_values_are_uniform_on_exchangeable_scores():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        scores = rng.exponential(size=1199)
        shares.append(np.mean(conformal_p(np.sort(scores[:199]), scores[199:]) <= 0.05))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.005)


def test_conformal_p_counts_itself():
    np.testing.assert_allclose(conformal_p(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 9.0])), [1.0, 0.75, 0.25])


def test_shapes_are_known_whatever_the_dose_and_the_range():
    known = curves(1500, 0, 10 ** np.random.default_rng(7).uniform(-2.5, -1, (1500, 1)))
    encoder = Encoder.fit(known, "absolute")
    model = ShapeModel.fit(known, encoder, seed=0, presentations=200_000)

    def scores(*arguments, **options):
        own = curves(*arguments, **options)
        return model.scores(own, encoder(own))

    usual = scores(300, 3, 0.02)
    assert np.median(scores(300, 1, 0.05)) < 2 * np.median(usual) + 1
    assert np.median(scores(300, 1, 0.02, q=Q[30:110])) < 2 * np.median(usual) + 1
    assert np.quantile(scores(300, 2, 0.02, "peak"), 0.1) > np.quantile(usual, 0.9)
    again = ShapeModel.restore(model.state(), encoder)
    np.testing.assert_array_equal(again.scores(known, encoder(known)), model.scores(known, encoder(known)))


def test_too_few_curves():
    few = curves(10, 0)
    with pytest.raises(SurrogateError, match="at least 40 curves, got 10"):
        ShapeModel.fit(few, Encoder.fit(few, "absolute"), seed=0)


def test_good_and_bad_curves_of_an_instrument():
    reference = InstrumentReference.fit(curves(30, 0, 0.05), "absolute")
    _, p = reference(curves(2000, 1, 0.05))
    assert np.mean(p <= 0.1) < 0.2
    for bad in (curves(200, 2, 0.05, q=Q[70:]), curves(200, 4, 2.0)):
        assert np.mean(reference(bad)[1] <= 0.1) > 0.8
    again = InstrumentReference.restore(reference.state(), "absolute")
    np.testing.assert_array_equal(again(curves(5, 6))[1], reference(curves(5, 6))[1])
    with pytest.raises(SurrogateError, match="at least 10 good curves"):
        InstrumentReference.fit(curves(9, 0), "absolute")


def test_false_alarms_of_an_instrument_are_alpha_on_average():
    shares = [
        np.mean(InstrumentReference.fit(curves(30, s), "absolute")(curves(100, 1000 + s))[1] <= 0.1) for s in range(20)
    ]
    assert np.mean(shares) == pytest.approx(0.08, abs=0.04)
