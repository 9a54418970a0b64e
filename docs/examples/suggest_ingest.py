from loop.acquisition.variance import IntegratedVariance
from loop.agent import Agent
from loop.records import Observation, Status
from loop.space import BoxSpace, Continuous
from surrogates.pbnn import PBNN

space = BoxSpace([Continuous("temperature", 300, 700, "°C"), Continuous("x", -20, 20, "mm")])
agent = Agent(space, PBNN, IntegratedVariance, observables=("band",), n_initial=6, seed=1)
for _ in range(10):
    (suggestion,) = agent.suggest()
    t, x = suggestion.point["temperature"], suggestion.point["x"]
    value, sd = 2.0 if t < 500 + 5 * x else 0.7, 0.01  # your measurement goes here
    agent.ingest(Observation(suggestion.id, suggestion.point, Status.MEASURED, {"band": value}, {"band": sd}))
print(agent.predict([{"temperature": 450, "x": 0}])[0])
