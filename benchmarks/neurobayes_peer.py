"""NeuroBayes 0.0.14 (JAX + NumPyro) as the benchmarks run it: its own fit and predict, with the settings of its README.

Network 64-32-16-8 with tanh; trunks by MAP with stochastic weight averaging (500 epochs, learning rate 0.01, the last
5 % averaged, all its defaults), then NUTS, one chain. NeuroBayes standardises nothing: it gets inputs in [-1, 1] and
targets standardised by the training data, and what it returns is in the units of those targets. Its priors stay as they
are: a half-normal with scale 1 for the noise, unit normals for the weights, which for a partially Bayesian network are
centred at the MAP weights and for a fully Bayesian one at zero.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HIDDEN = (64, 32, 16, 8)
LAYERS: dict[str, tuple[int, ...] | None] = {"full": None, "last": (4,), "last2": (3, 4), "first": (0,)}
"""Bayesian layers of each variant; None: all, as its class `BNN`."""
EPOCHS, LEARNING_RATE = 500, 0.01
SETTINGS = {"hidden": list(HIDDEN), "epochs": EPOCHS, "lr": LEARNING_RATE, "chains": 1}
"""What determines a fit beside the variant, the data and the numbers of steps."""
EXTRA = ("accept_prob", "num_steps", "diverging")
MEMORY = 8 * 2**30
"""Bytes in use at which JAX's compiled programs are dropped: they pile up by some 100 MB a fit."""
_WARM: set[tuple[str, int]] = set()
"""Variants and numbers of inputs for which `warm_up` has run."""


def one_thread() -> None:
    """Limit XLA to one thread and to the CPU, as torch is limited; to be called before JAX is imported."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def warm_up(variant: str, d: int) -> None:
    """Run a variant for a few steps on ``d`` inputs, untimed.

    What JAX compiles once for a process is compiled then, and does not count against the fits that are timed. Where
    memory runs short, compiled programs are dropped before.
    """
    import jax

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if used > MEMORY:
        jax.clear_caches()
        gc.collect()
        _WARM.clear()
    if (variant, d) not in _WARM:
        generator = np.random.default_rng(0)
        X, y = generator.uniform(-1, 1, (5, d)), generator.normal(size=5)
        fit_and_predict(variant, X, y, X, seed=0, warmup=8, samples=8)
        _WARM.add((variant, d))


@dataclass
class Stopwatch:
    """Wall and processor seconds of named stages, and what of the wall time XLA and JAX spent compiling."""

    seconds: dict[str, float] = field(default_factory=dict)
    _compiling: float = 0.0

    def __post_init__(self) -> None:
        from jax import monitoring

        monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        # Tracing is left out: its events are nested, so that their sum counts seconds twice.
        if event.startswith("/jax/core/compile/") and "trace" not in event:
            self._compiling += seconds

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage: ``NAME_s``, ``NAME_cpu_s``, ``NAME_compile_s``."""
        wall, processor, compiling = time.perf_counter(), time.process_time(), self._compiling
        yield
        self.seconds[f"{name}_s"] = time.perf_counter() - wall
        self.seconds[f"{name}_cpu_s"] = time.process_time() - processor
        self.seconds[f"{name}_compile_s"] = self._compiling - compiling

    def close(self) -> None:
        """Stop listening."""
        from jax import monitoring

        monitoring.unregister_event_duration_listener(self._heard)


@dataclass(frozen=True)
class PeerFit:
    """What one fit gives, in standardised units of the targets.

    ``mean`` and ``variance`` ``(k,)`` of the noise-free function, ``noise_variance`` the posterior mean of the noise's
    variance, ``draws`` ``(1, samples, k)`` of the function, ``seconds`` by stage, ``diagnostics`` of the sampler.
    """

    mean: np.ndarray
    variance: np.ndarray
    noise_variance: float
    draws: np.ndarray
    seconds: dict[str, float]
    diagnostics: dict[str, float]


def map_trunk(X: np.ndarray, y: np.ndarray) -> Any:
    """MAP + SWA weights of the whole network for ``X (n, d)`` in [-1, 1] and standardised ``y (n,)``: Flax parameters.

    The same call, with the same starting weights, that its `PartialBNN.fit` makes when it is given none.
    """
    import neurobayes as nb

    network = nb.DeterministicNN(
        nb.FlaxMLP(hidden_dims=list(HIDDEN), target_dim=1),
        input_shape=(X.shape[-1],),
        loss="homoskedastic",
        learning_rate=LEARNING_RATE,
        sigma=1.0,
    )
    network.train(X, y, EPOCHS, None)
    return network.state.params


def quiet_trunk(X: np.ndarray, y: np.ndarray) -> Any:
    """`map_trunk` without its progress bar."""
    import jax.numpy as jnp

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return map_trunk(jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.float32))


def trunk_layers(weights: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel ``(fan_in, fan_out)`` and bias ``(fan_out,)`` of every layer of `map_trunk`'s result, first to last."""
    from neurobayes.utils import flatten_params_dict

    flat = flatten_params_dict(weights)
    return [(np.asarray(flat[f"Dense{i}"]["kernel"]), np.asarray(flat[f"Dense{i}"]["bias"])) for i in range(len(flat))]


def _r_hat(samples: list[Any]) -> tuple[float, float]:
    """Median and largest split R-hat of everything in ``(1, draws, ...)`` arrays; infinite where nothing moved."""
    from numpyro.diagnostics import split_gelman_rubin

    found = np.concatenate([split_gelman_rubin(np.asarray(s)).ravel() for s in samples])
    found = np.where(np.isfinite(found), found, np.inf)
    return float(np.median(found)), float(found.max())


def fit_and_predict(
    variant: str, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, *, seed: int, warmup: int, samples: int
) -> PeerFit:
    """Fit one of `LAYERS` and predict.

    Parameters
    ----------
    X, X_test
        ``(n, d)`` and ``(k, d)`` in [-1, 1].
    y
        ``(n,)`` standardised.
    seed
        Of NUTS. The trunk always starts from the same weights: the package offers no choice.

    Notes
    -----
    Stages: ``map`` (the trunk), ``sample`` (NUTS: warm-up, draws, compilation), ``predict`` (its own `predict` at
    `X_test`).
    """
    import jax
    import jax.numpy as jnp
    import neurobayes as nb

    X, y, X_test = (jnp.asarray(a, jnp.float32) for a in (X, y, X_test))
    watch = Stopwatch()
    try:
        # Its progress bars and messages.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            layers = LAYERS[variant]
            architecture = nb.FlaxMLP(hidden_dims=list(HIDDEN), target_dim=1)
            if layers is None:
                model = nb.BNN(architecture)
            else:
                with watch.stage("map"):
                    weights = jax.block_until_ready(map_trunk(X, y))
                model = nb.PartialBNN(
                    architecture,
                    deterministic_weights=weights,
                    probabilistic_layer_names=[f"Dense{i}" for i in layers],
                )
            key = jax.random.PRNGKey(seed)
            with watch.stage("sample"):
                model.fit(
                    X,
                    y,
                    num_warmup=warmup,
                    num_samples=samples,
                    num_chains=1,
                    progress_bar=False,
                    rng_key=key,
                    extra_fields=EXTRA,
                )
                drawn = jax.block_until_ready(model.get_samples())
            with watch.stage("predict"):
                jax.block_until_ready(model.predict(X_test))
            # `predict` gives the variance of drawn values, which the draws of the noise make uncertain by a few per
            # cent. Mixing the moments exactly can only help it.
            mu = model.sample_from_posterior(key, X_test, drawn, return_sites=["mu"])["mu"]
    finally:
        watch.close()
    draws = np.asarray(mu, float).reshape(samples, -1)
    extra = {k: np.asarray(v) for k, v in model.mcmc.get_extra_fields().items()}
    by_chain = model.mcmc.get_samples(group_by_chain=True)
    weights = [v for k, v in by_chain.items() if k.endswith(("kernel", "bias"))]
    typical, worst = _r_hat([draws[None]])
    typical_weight, worst_weight = _r_hat(weights)
    return PeerFit(
        mean=draws.mean(0),
        variance=draws.var(0),
        noise_variance=float(np.square(np.asarray(drawn["sig"], float)).mean()),
        draws=draws[None],
        seconds=watch.seconds,
        diagnostics={
            "accept_prob": float(extra["accept_prob"].mean()),
            "steps": float(extra["num_steps"].mean()),
            "divergences": float(extra["diverging"].sum()),
            "r_hat_predictions": typical,
            "r_hat_predictions_worst": worst,
            "r_hat_weights": typical_weight,
            "r_hat_weights_worst": worst_weight,
        },
    )
