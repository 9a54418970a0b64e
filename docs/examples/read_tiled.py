"""Print the decisions of a campaign as a table, from its Tiled catalogue: `python read_tiled.py CAMPAIGN`."""

import sys
from pathlib import Path

from loop.catalogue import EMBEDDED, open_catalogue

with open_catalogue(Path(sys.argv[1]), EMBEDDED) as client:
    runs = sorted(client.values(), key=lambda run: run.metadata["start"]["time"])
    for run in runs:  # one decisions run for each process that worked on the campaign
        if run.metadata["start"]["purpose"] == "decisions":
            print(run["outcome"].read()[["suggestion_id", "status", "attempts"]].to_dataframe())
    measurements = [run for run in runs if run.metadata["start"]["purpose"] == "measurement"]
    print(len(measurements), "measurement runs")
    if "det_image" in measurements[0]["primary"]:
        print("shape of the first frame:", measurements[0]["primary"]["det_image"].shape)
