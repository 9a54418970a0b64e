"""Print which engine stood behind each suggestion, and whether it had converged: `python read_engines.py CAMPAIGN`."""

import sys
from pathlib import Path

from loop.history import read_history
from loop.journal import read_documents

for step in read_history(read_documents(Path(sys.argv[1]))).steps:
    model = step.suggestion.model  # empty for the initial points
    if model:
        trust = "converged" if model.get("converged", 1.0) else "NOT converged"
        print(step.suggestion.iteration, model["engine"], trust, f"noise {model['noise_sd']:.3g}")
