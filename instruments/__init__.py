"""How beamloop measures: Ophyd devices, Bluesky plans, reduction, quality gates."""
