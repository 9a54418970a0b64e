"""What the built-in scenarios look like: the scattering in one band of q over the two parameters, and some curves."""

import sys

import numpy as np

from simulators.scenarios import make_scenario

BAND, Q, POINTS = np.linspace(0.02, 0.06, 9), np.geomspace(0.005, 0.4, 150), 41
SHOWN = {
    "annealing": [(350, 0), (450, 0), (450, 18), (600, 18)],
    "composition_wafer": [(0, -30), (0, -14), (0, 0), (-20, 25)],
    "irradiation_dose": [(1, 400), (10, 400), (10, 530), (20, 530)],
    "particle_growth": [(150, 25), (400, 25), (3000, 25), (3000, 55)],
}

maps = {}
for kind in SHOWN:
    for variant in ("truth", "theory"):
        scenario = make_scenario(kind, variant=variant)
        first, second = (np.linspace(p.low, p.high, POINTS) for p in scenario.parameters)
        names = [p.name for p in scenario.parameters]
        states = [dict(zip(names, (float(a), float(b)), strict=True)) for b in second for a in first]
        band = scenario.cross_section(states, BAND).mean(1)
        maps[kind, variant] = np.log10(band).reshape(POINTS, POINTS)
    true, theory = maps[kind, "truth"], maps[kind, "theory"]
    print(
        f"{kind}: {10 ** true.min():.3g} to {10 ** true.max():.3g} 1/cm; "
        f"theory is off by {np.sqrt(np.mean((true - theory) ** 2)):.2f} decades"
    )

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(SHOWN), 3, figsize=(11, 13.5), layout="constrained")
    for row, (kind, places) in zip(panels, SHOWN.items(), strict=True):
        scenario = make_scenario(kind)
        a, b = scenario.parameters
        low, high = (f([m.ravel() for (k, _), m in maps.items() if k == kind]) for f in (np.min, np.max))
        for panel, variant in zip(row, ("truth", "theory"), strict=False):
            extent = (a.low, a.high, b.low, b.high)
            image = panel.imshow(
                maps[kind, variant], origin="lower", extent=extent, aspect="auto", vmin=low, vmax=high, cmap="viridis"
            )
            panel.set(title=f"{kind}, {variant}", xlabel=f"{a.name} / {a.unit}", ylabel=f"{b.name} / {b.unit}")
        figure.colorbar(image, ax=row[1], label="log₁₀ dΣ/dΩ of 0.02-0.06 1/Å")
        for number, place in enumerate(places):
            curve = scenario.cross_section([dict(zip((a.name, b.name), map(float, place), strict=True))], Q)[0]
            row[2].loglog(Q, curve, f"C{number}", label=f"{place[0]:g} {a.unit}, {place[1]:g} {b.unit}")
            row[0].plot(*place, "o", color=f"C{number}", mec="white")
        row[2].set(xlabel="q / (1/Å)", ylabel="dΣ/dΩ / (1/cm)")
        row[2].legend(frameon=False, fontsize=8, loc="upper right")
    figure.savefig(sys.argv[1], dpi=80)
