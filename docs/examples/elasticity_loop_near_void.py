"""An interstitial loop beside a void: each bends the other's field, and both scatter. No closed form exists."""

import sys
import time

import numpy as np
from scipy.special import j1

from simulators.elasticity import Isotropic, Matrix, PrismaticLoop, scattering, solve, void

COPPER = Matrix(Isotropic(young=128.0, poisson_ratio=0.34), sld=6.5e-5)
LOOP, VOID, APART, BURGERS = 60.0, 18.0, 24.0, 2.087  # Å; a Frank loop on (111)
DENSITY = 1e21  # pairs in 1/m³

q = np.geomspace(2e-3, 0.2, 60)
began = time.perf_counter()
field = solve(COPPER, [void((VOID, VOID, VOID)), PrismaticLoop(LOOP, BURGERS, height=APART)])
both = scattering(field, q, density=DENSITY)
seconds = time.perf_counter() - began

# The same pair as if neither felt the other: the closed forms of each, added as amplitudes, and as intensities.
cosine, weights = np.polynomial.legendre.leggauss(64)
across, along = q[:, None] * np.sqrt(1 - cosine**2), q[:, None] * cosine
x = q[:, None] * VOID
of_void = -COPPER.sld * 4 * np.pi * (np.sin(x) - x * np.cos(x)) / q[:, None] ** 3
kappa = (1 - 2 * 0.34) / (1 - 0.34)
of_loop = COPPER.sld * BURGERS * kappa * (1 - cosine**2) * 2 * np.pi * LOOP * j1(across * LOOP) / across
of_loop = of_loop * np.exp(1j * along * APART)
to_cm = 0.5 * DENSITY * 1e-22
bound = to_cm * np.abs(of_void + of_loop) ** 2 @ weights
apart = to_cm * (np.abs(of_void + 0 * cosine) ** 2 + np.abs(of_loop) ** 2) @ weights

print(f"{field.nodes} nodes; void strained by {1e2 * field.mean_strain(0)[:3].sum():.2f} %")
for name, other in (("far apart", apart), ("side by side, rigid", bound)):
    ratio = both / other
    print(f"to the same two {name}: {ratio[0]:.3f} at {q[0]:.3f} 1/Å, {ratio.min():.3f} to {ratio.max():.3f}")
print(f"{seconds:.1f} s", file=sys.stderr)

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right, lower) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    near = field.near
    # The mesh's own origin is midway between the bodies.
    height = near.position[:, 1] - near.position[near.owner == 0, 1].mean()
    seen = (near.position[:, 0] < 115) & (np.abs(height) < 115) & (near.owner < 0)
    r, z, value = near.position[seen, 0], height[seen], 1e2 * field.dilatation()[seen]
    mirrored = (np.concatenate([-r, r]), np.concatenate([z, z]), np.concatenate([value, value]))
    shown = left.tripcolor(*mirrored, shading="gouraud", cmap="RdBu_r", vmin=-1.5, vmax=1.5)
    left.add_patch(plt.Circle((0, 0), VOID, color="0.25"))
    left.plot([-LOOP, LOOP], [APART, APART], "k-", lw=1.5)
    left.set(
        xlabel="r / Å",
        ylabel="z / Å",
        aspect="equal",
        xlim=(-110, 110),
        ylim=(-110, 110),
        title="dilatation of the copper around them",
    )
    figure.colorbar(shown, ax=left, label="Δ / %", shrink=0.85)
    right.loglog(q, both, "C3", lw=2, label="finite elements")
    right.loglog(q, bound, "k--", lw=1, label="side by side, rigid")
    right.loglog(q, apart, "k:", lw=1, label="far apart")
    right.loglog(q, to_cm * np.abs(of_void[:, 0]) ** 2 * 2, "C0", lw=0.8, label="void alone")
    right.loglog(q, to_cm * np.abs(of_loop) ** 2 @ weights, "C2", lw=0.8, label="loop alone")
    right.set(xlabel="q / (1/Å)", ylabel="dΣ/dΩ / (1/cm)", ylim=(1e-4, 0.5), title="10²¹ pairs per m³")
    right.legend(frameon=False, fontsize=8)
    lower.semilogx(q, both / bound, "C3", label="to side by side, rigid")
    lower.semilogx(q, both / apart, "C3--", label="to far apart")
    lower.axhline(1, color="0.6", lw=0.8)
    lower.set(xlabel="q / (1/Å)", ylabel="ratio", title="what the pair does to each other")
    lower.legend(frameon=False, fontsize=8)
    figure.savefig(sys.argv[1], dpi=110)
