"""Make the picture of the README from a campaign of `configs/demo.yaml`: `python docs/make_picture.py CAMPAIGN`."""

import sys
from pathlib import Path

from PIL import Image

WIDTH = 520
"""Of each panel, pixels."""

report = Path(sys.argv[1]) / "report"
panels = [Image.open(report / f"{name}.png").convert("RGB") for name in ("map_mean", "map_uncertainty", "map_truth")]
panels = [p.resize((WIDTH, round(p.height * WIDTH / p.width)), Image.Resampling.LANCZOS) for p in panels]
picture = Image.new("RGB", (WIDTH * len(panels), max(p.height for p in panels)), "white")
for column, panel in enumerate(panels):
    picture.paste(panel, (column * WIDTH, 0))
picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
    Path(__file__).parent / "_static" / "demo_map.png", optimize=True
)
