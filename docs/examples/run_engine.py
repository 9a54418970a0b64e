from bluesky import RunEngine
from ophyd.sim import motor, noisy_det

from instruments.generic import DeviceExperiment
from loop.agent import Agent
from loop.engine import Campaign
from loop.space import BoxSpace, Continuous
from loop.stopping import MaxPoints
from surrogates.gp import GaussianProcess

space = BoxSpace([Continuous("position", -3, 3, "mm")])
experiment = DeviceExperiment([noisy_det], {"position": motor}, observables={"noisy_det": "counts"})
agent = Agent(space, GaussianProcess, "log_ei", observables=experiment.observables, direction="maximise", n_initial=4)
RE = RunEngine()
RE(Campaign(agent, experiment, MaxPoints(12)).plan())
best = max(agent.measured, key=lambda observation: observation.values["noisy_det"])
