"""Write a recorded data set of one's own: one row per curve, in the folder that BEAMLOOP_DATA names."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
q = np.geomspace(0.005, 0.2, 120)  # 1/Å
rows = []
for number in range(60):
    salt, ph = rng.uniform(0, 500), rng.uniform(3, 9)
    radius = 30 + 0.05 * salt + 4 * (ph - 6) ** 2
    intensity = 1e3 * np.exp(-((q * radius) ** 2) / 5) + 1.0
    sigma = 0.02 * intensity
    rows.append(
        {
            "name": f"sample_{number:02d}",
            "salt": salt,
            "ph": ph,
            "q": q,
            "i": rng.normal(intensity, sigma),
            "sigma": sigma,
        }
    )
folder = Path(os.environ["BEAMLOOP_DATA"]) / "my_screening"
folder.mkdir(parents=True, exist_ok=True)
pd.DataFrame(rows).to_parquet(folder / "dev.parquet")
