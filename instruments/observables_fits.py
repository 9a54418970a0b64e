"""Observables from fits of ``I = exp(X b)``: Guinier's and Porod's laws.

Intensities are fitted, not their logarithms: points scattered below zero take part, and there is no bias from the
logarithm of noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.observables_integrals import check_range, check_scale, points_in

QUANTITIES = {"rg": "Å", "i0": "1/cm", "log10_i0": "log10(1/cm)"}
"""What `Guinier` can give, and its unit."""


def _extent(curve: Curve) -> str:
    return f"from q = {curve.q[0]:.4g} to {curve.q[-1]:.4g} 1/Å"


def fit_exponential(kind: str, X: np.ndarray, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``I = exp(X b)`` by weighted least squares (Levenberg-Marquardt).

    Parameters
    ----------
    kind
        For messages.
    X
        ``(k, p)``, the first column 1.
    curve
        ``(k,)`` points, all with an error bar.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        b ``(p,)`` and its covariance ``(p, p)`` from sigma, widened by chi²/(k - p) where the law does not fit.

    Raises
    ------
    InstrumentError
        If too few points are clearly positive to start from, or the fit does not converge.
    """
    from scipy.optimize import least_squares  # a third of a second that only these two kinds need

    clear = curve.intensity > curve.sigma
    if clear.sum() <= X.shape[1]:
        raise InstrumentError(
            f"{kind}: only {int(clear.sum())} of {len(clear)} points {_extent(curve)} "
            f"exceed their error bar, {X.shape[1] + 1} are needed to fit"
        )
    weight = (curve.intensity / curve.sigma)[clear]
    start = np.linalg.lstsq(X[clear] * weight[:, None], np.log(curve.intensity[clear]) * weight, rcond=None)[0]

    def model(b: np.ndarray) -> np.ndarray:
        return np.exp(np.clip(X @ b, -700, 700)) / curve.sigma

    result = least_squares(
        lambda b: model(b) - curve.intensity / curve.sigma,
        start,
        jac=lambda b: model(b)[:, None] * X,
        method="lm",
        x_scale="jac",
    )
    precision = result.jac.T @ result.jac
    if not result.success or np.linalg.cond(precision) > 1e14:
        raise InstrumentError(f"{kind}: the fit to {len(clear)} points {_extent(curve)} did not converge")
    freedom = len(curve.q) - X.shape[1]
    misfit = max(1.0, 2 * result.cost / freedom) if freedom > 0 else 1.0
    return result.x, np.linalg.inv(precision) * misfit


@dataclass(frozen=True)
class Guinier:
    """Radius of gyration or forward intensity by Guinier's law ``I = I0 exp(-q² Rg² / 3)`` (Guinier, 1939).

    The upper end of the fit follows Rg until the points with ``q Rg < limit`` are those that were fitted.
    """

    quantity: str = "rg"
    """``"rg"`` (Å), ``"i0"`` (1/cm) or ``"log10_i0"``."""
    q_min: float = 0.0
    """1/Å; raise it above a beam stop's shadow or an aggregates' upturn."""
    q_max: float = 0.1
    """1/Å; the fit never uses more than this."""
    limit: float = 1.3
    """Largest q Rg of the fit; 1.3 for compact particles."""
    min_points: int = 5
    """Fewer points in the Guinier region are not fitted."""
    scale_sd: float = 0.0
    """Relative standard deviation of the curve's absolute scale (monitor, transmission): it moves all points together
    and is not in their sigma. The radius does not depend on it."""

    def __post_init__(self) -> None:
        """Check options."""
        check_range("guinier", self.q_min, self.q_max)
        check_scale("guinier", self.scale_sd)
        if self.quantity not in QUANTITIES:
            raise InstrumentError(
                f"observable 'guinier': quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}"
            )
        if not 0.2 <= self.limit <= 3:
            raise InstrumentError(f"observable 'guinier': limit must lie between 0.2 and 3, got {self.limit!r}")
        if self.min_points < 4:
            raise InstrumentError(f"observable 'guinier': min_points must be at least 4, got {self.min_points!r}")

    @property
    def unit(self) -> str:
        """Of the chosen quantity."""
        return QUANTITIES[self.quantity]

    @property
    def description(self) -> str:
        """What it is."""
        name = {"rg": "radius of gyration", "i0": "forward intensity", "log10_i0": "log10 of the forward intensity"}
        return f"{name[self.quantity]}, Guinier fit with q Rg < {self.limit:g}"

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return the quantity and its standard deviation from the fit."""
        log_i0, rg, covariance = self._fit(curve)
        if self.quantity == "rg":
            return rg, float(np.sqrt(covariance[1, 1]) * 3 / (2 * rg))
        sd = float(np.sqrt(covariance[0, 0] + self.scale_sd**2))
        if self.quantity == "i0":
            return float(np.exp(log_i0)), float(np.exp(log_i0)) * sd
        return float(log_i0 / np.log(10)), float(sd / np.log(10))

    def _start(self, points: Curve) -> int:
        """How many points to fit first: growing from the low end, where q Rg reaches the limit.

        Starting from the high end instead can stop at a wrong answer that is consistent with itself, where oscillations
        or a flat background outweigh the Guinier region.
        """
        clear = np.flatnonzero(points.intensity > points.sigma)
        q, intensity = points.q[clear], points.intensity[clear]
        w, x, y = (intensity / points.sigma[clear]) ** 2, q**2, np.log(intensity)
        # The straight line through the first n points, for every n.
        s, sx, sy, sxx, sxy = (np.cumsum(w * a) for a in (np.ones_like(x), x, y, x * x, x * y))
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = s * sxx - sx**2
            steepness = (sx * sy - s * sxy) / determinant  # Rg² / 3
            significant = steepness > 3 * np.sqrt(s / determinant)
            reached = significant & (q * np.sqrt(3 * np.maximum(steepness, 0)) >= self.limit)
        reached[: self.min_points] = False
        return int(clear[np.argmax(reached)]) + 1 if reached.any() else len(points.q)

    def _fit(self, curve: Curve) -> tuple[float, float, np.ndarray]:
        """Return ln I0, Rg in Å and the covariance ``(2, 2)`` of (ln I0, Rg²/3)."""
        points = points_in("guinier", curve, self.q_min, self.q_max, at_least=self.min_points)
        use = self._start(points)
        fitted: set[int] = set()
        while True:
            fitted.add(use)
            part = Curve(points.q[:use], points.intensity[:use], points.sigma[:use])
            X = np.stack([np.ones(use), -(part.q**2)], axis=1)
            b, covariance = fit_exponential("guinier", X, part)
            if not (np.isfinite(b).all() and b[1] > 0):
                raise InstrumentError(
                    f"guinier: the intensity does not fall {_extent(part)}, so there "
                    "is no radius of gyration (repulsion, or nothing there?)"
                )
            rg = float(np.sqrt(3 * b[1]))
            inside = int(np.searchsorted(points.q, self.limit / rg))
            if inside < self.min_points:
                raise InstrumentError(
                    f"guinier: {inside} points with q Rg < {self.limit:g} for Rg = {rg:.4g} Å (points begin at q = "
                    f"{points.q[0]:.4g} 1/Å), at least {self.min_points} are needed: the particles are too large"
                )
            if inside == use:
                return float(b[0]), rg, covariance
            # Noise can make two or three sets follow each other for ever: then the smallest one is final.
            if inside in fitted:
                if use == min(fitted):
                    return float(b[0]), rg, covariance
                inside = min(fitted)
            use = inside


@dataclass(frozen=True)
class Porod:
    """Exponent n of ``I ~ q^-n`` in a band (4: sharp interfaces; 1 to 3: mass fractals; 3 to 4: rough surfaces)."""

    q_min: float = 0.1
    """1/Å."""
    q_max: float = 0.2
    """1/Å."""
    flat_background: float = 0.0
    """1/cm, subtracted first; taken as exact."""
    min_points: int = 5
    """Fewer points are not fitted."""

    def __post_init__(self) -> None:
        """Check options."""
        check_range("porod", self.q_min, self.q_max)
        if self.q_min <= 0:
            raise InstrumentError(f"observable 'porod': q_min must be above 0, got {self.q_min!r}")
        if not np.isfinite(self.flat_background):
            raise InstrumentError(
                f"observable 'porod': flat_background must be a finite number, got {self.flat_background!r}"
            )
        if self.min_points < 3:
            raise InstrumentError(f"observable 'porod': min_points must be at least 3, got {self.min_points!r}")

    @property
    def unit(self) -> str:
        """None."""
        return "1"

    @property
    def description(self) -> str:
        """What it is."""
        return f"exponent n of I ~ q^-n from {self.q_min:g} to {self.q_max:g} 1/Å"

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return the exponent and its standard deviation from the fit."""
        part = points_in("porod", curve, self.q_min, self.q_max, at_least=self.min_points)
        part = Curve(part.q, part.intensity - self.flat_background, part.sigma)
        centre = np.sqrt(self.q_min * self.q_max)  # keeps exponent and level nearly uncorrelated
        X = np.stack([np.ones_like(part.q), -np.log(part.q / centre)], axis=1)
        b, covariance = fit_exponential("porod", X, part)
        return float(b[1]), float(np.sqrt(covariance[1, 1]))
