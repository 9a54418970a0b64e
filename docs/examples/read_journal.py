"""Print how a campaign went, from its journal alone: `python read_journal.py CAMPAIGN`."""

import sys
from pathlib import Path

from loop.history import read_history
from loop.journal import read_documents

history = read_history(read_documents(Path(sys.argv[1])))
print(history.name, "-", history.stop_reason or "not ended")
for step in history.steps:
    suggestion, observation = step.suggestion, step.observation
    if observation is None:
        print(suggestion.iteration, dict(suggestion.point), "in flight")
        continue
    predicted = suggestion.prediction.mean if suggestion.prediction else {}
    print(suggestion.iteration, observation.status, dict(observation.point), predicted, dict(observation.values))
