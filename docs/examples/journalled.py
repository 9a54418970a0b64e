"""A campaign from Python that survives its process: run this file again and it goes on."""

from pathlib import Path

from bluesky import RunEngine
from ophyd.sim import motor, noisy_det

from instruments.generic import DeviceExperiment
from loop.agent import Agent
from loop.engine import Campaign
from loop.history import close_unfinished, read_history
from loop.journal import Journal, read_documents
from loop.space import BoxSpace, Continuous
from loop.stopping import MaxPoints
from surrogates.gp import GaussianProcess

folder = Path("campaigns/from_python")
space = BoxSpace([Continuous("position", -3, 3, "mm")])
experiment = DeviceExperiment([noisy_det], {"position": motor}, observables={"noisy_det": "counts"})
agent = Agent(space, GaussianProcess, "log_ei", observables=experiment.observables, direction="maximise", n_initial=4)

with Journal(folder) as journal:
    documents = list(read_documents(folder))
    history = None
    if documents:  # an earlier process left something: close what it left open, then take it up
        for name, doc in close_unfinished(documents):
            journal(name, doc)
        history = read_history(read_documents(folder))
    campaign = Campaign(agent, experiment, MaxPoints(12), metadata={"campaign": "from_python"}, history=history)
    RE = RunEngine()
    RE.subscribe(journal)  # first: a document is durable before anybody else hears of it
    RE(campaign.plan())

print(len(read_history(read_documents(folder)).measured), "points measured")
