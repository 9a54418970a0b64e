"""The contract of reactions: what is asked for, in which order, how often, and what is dropped."""

import runpy

import pytest
from botorch.models import SingleTaskGP

from loop.agent import Agent
from loop.errors import PluginError
from loop.reactions import Condition, FollowUp, LookAround, Note, ReactionError, Reactions, Remeasure, Rule
from loop.records import Cause, Observation, Origin, Status
from loop.space import BoxSpace, Continuous, PoolSpace

HIGH = Condition("y", "above", 1.0)


def surrogate(X, Y, Yvar=None, *, seed=0):
    return SingleTaskGP(X, Y, train_Yvar=Yvar)


def agent_of(space=None, n_initial=50):
    space = space or BoxSpace([Continuous("x", -1, 1, "mm"), Continuous("z", 0, 4)])
    return Agent(space, surrogate, "random", observables=("y",), n_initial=n_initial, seed=3)


class Campaign:
    """An agent and its reactions, without an instrument."""

    def __init__(self, *rules, agent=None, exposure_s=2.0):
        self.agent = agent or agent_of()
        self.reactions = Reactions(self.agent, rules, exposure_s)

    def next(self):
        return self.reactions.suggest() or self.agent.suggest(1)[0]

    def end(self, suggestion, value, status=Status.MEASURED):
        observation = Observation(suggestion.id, suggestion.point, status, {"y": value}, {"y": 0.1})
        self.agent.ingest(observation)
        return self.reactions.hear(suggestion, observation)


def test_an_alert_says_what_was_seen_and_follow_ups_say_what_they_follow():
    campaign = Campaign(Rule("closer", HIGH, Remeasure(4.0)), Rule("around", HIGH, LookAround(2, 0.05)))
    first = campaign.next()
    closer, around = campaign.end(first, 1.5)
    assert (closer.suggestion_id, closer.reaction, closer.observable) == (first.id, "closer", "y")
    assert (closer.value, closer.sd, closer.side, closer.threshold, closer.follow_ups) == (1.5, 0.1, "above", 1.0, 1)
    assert (around.reaction, around.follow_ups) == ("around", 2)
    followed = [campaign.next() for _ in range(3)]
    assert [s.origin for s in followed] == [Origin.REACTION] * 3
    assert [s.cause for s in followed] == [
        Cause(first.id, "closer"),
        Cause(first.id, "around"),
        Cause(first.id, "around"),
    ]
    assert followed[0].point == first.point
    assert [s.exposure_s for s in followed] == [8.0, None, None]
    assert [s.iteration for s in followed] == [1, 2, 3]
    assert campaign.next().origin is Origin.INITIAL


def test_nothing_follows_from_an_outcome_that_is_not_measured_or_does_not_cross():
    campaign = Campaign(Rule("closer", HIGH, Remeasure()))
    assert campaign.end(campaign.next(), 0.9) == []
    assert campaign.end(campaign.next(), 5.0, Status.REJECTED) == []
    assert campaign.reactions.waiting == 0


def test_a_remeasurement_is_not_remeasured_but_may_be_looked_around():
    campaign = Campaign(Rule("closer", HIGH, Remeasure()), Rule("around", HIGH, LookAround(1, 0.05), at_most=2))
    campaign.end(campaign.next(), 2.0)
    again = campaign.next()
    assert again.exposure_s == 8.0
    closer, around = campaign.end(again, 2.1)
    assert (closer.follow_ups, around.follow_ups) == (0, 1)
    # A point that was found by looking around may well be measured again.
    near = campaign.next()
    assert near.cause.reaction == "around"
    closer, around = campaign.end(near, 2.2)
    assert (closer.follow_ups, around.follow_ups) == (1, 0)


def test_at_most_limits_the_reactions_and_not_the_alerts():
    campaign = Campaign(Rule("closer", HIGH, Remeasure(), at_most=2))
    counts = []
    for _ in range(4):
        suggestion = campaign.agent.suggest(1)[0]
        (alert,) = campaign.end(suggestion, 3.0)
        counts.append(alert.follow_ups)
    assert counts == [1, 1, 0, 0]


def test_two_reactions_remeasure_a_point_once():
    campaign = Campaign(Rule("a", HIGH, Remeasure(4.0)), Rule("b", Condition("y", "above", 2.0), Remeasure(9.0)))
    assert [a.follow_ups for a in campaign.end(campaign.next(), 3.0)] == [1, 0]
    assert campaign.next().exposure_s == 8.0
    assert campaign.reactions.waiting == 0


def test_a_follow_up_that_was_taken_meanwhile_is_dropped():
    pool = PoolSpace([f"s{k}" for k in range(6)], [[float(k)] for k in range(6)], ["a"])
    campaign = Campaign(Rule("around", HIGH, LookAround(2)), agent=agent_of(pool))
    first = campaign.agent.add(pool.at(2))
    (alert,) = campaign.end(first, 2.0)
    assert alert.follow_ups == 2
    campaign.agent.add(pool.at(1))  # a person is quicker
    assert campaign.next().point["sample"] == "s3"
    assert campaign.reactions.suggest() is None


def test_follow_ups_are_no_initial_points():
    campaign = Campaign(Rule("around", HIGH, LookAround(3, 0.05)), agent=agent_of(n_initial=4))
    campaign.end(campaign.next(), 2.0)
    for _ in range(3):
        campaign.end(campaign.next(), 0.0)
    assert [campaign.next().origin for _ in range(3)] == [Origin.INITIAL] * 3


def test_the_queue_is_rebuilt_from_the_outcomes():
    rules = (Rule("closer", HIGH, Remeasure()), Rule("around", HIGH, LookAround(3, 0.05)), Rule("n", HIGH, Note()))
    first, again = Campaign(*rules), Campaign(*rules)
    told = []
    for value in (2.0, 0.0, 3.0, 0.0, 4.0):
        suggestion = first.next()
        first.end(suggestion, value)
        told.append((suggestion, first.agent.observations[-1]))
    for suggestion, observation in told:
        again.agent.register(suggestion)
        again.reactions.took(suggestion)
        again.agent.ingest(observation)
        again.reactions.hear(suggestion, observation)
    assert again.reactions.waiting == first.reactions.waiting > 0
    ours, theirs = ([campaign.next() for _ in range(8)] for campaign in (first, again))
    assert [(s.id, s.point, s.cause, s.exposure_s) for s in ours] == [
        (s.id, s.point, s.cause, s.exposure_s) for s in theirs
    ]


def test_follow_ups_that_were_dropped_do_not_come_back_when_the_queue_is_rebuilt():
    pool = PoolSpace([f"s{k}" for k in range(6)], [[k**1.5] for k in range(6)], ["a"])
    rules = (Rule("around", HIGH, LookAround(1), at_most=1),)
    first, again = (Campaign(*rules, agent=agent_of(pool)) for _ in range(2))
    trigger = first.agent.add(pool.at(2))
    (alert,) = first.end(trigger, 2.0)
    assert alert.follow_ups == 1
    manual = first.agent.add(pool.at(1))  # a person takes the very sample that waits
    chosen = first.next()
    assert chosen.origin is Origin.INITIAL
    again.agent.register(trigger)
    again.end(trigger, 2.0)
    again.agent.register(manual)
    again.reactions.took(manual)
    assert again.reactions.waiting == 1  # a person's point is no decision; the next one tells that nothing waited
    again.agent.register(chosen)
    again.reactions.took(chosen)
    assert again.reactions.waiting == first.reactions.waiting == 0


def test_a_reaction_of_ones_own():
    def to_the_middle(suggestion, observation, situation):
        return [FollowUp({"x": 0.0, "z": 2.0}, 2.0), FollowUp({"x": 5.0, "z": 2.0}), FollowUp({"x": 0.0, "z": 2.0})]

    campaign = Campaign(Rule("mine", HIGH, to_the_middle))
    (alert,) = campaign.end(campaign.next(), 2.0)
    assert alert.follow_ups == 1  # outside the space, and twice the same: left out
    middle = campaign.next()
    assert (middle.point, middle.exposure_s) == ({"x": 0.0, "z": 2.0}, 4.0)


def test_the_documentation_s_reaction(project_root):
    step_on = runpy.run_path(str(project_root / "docs" / "examples" / "my_reaction.py"))["StepOn"]
    campaign = Campaign(Rule("further", HIGH, step_on("z", 0.5), at_most=9))
    first = campaign.agent.add({"x": 0.25, "z": 3.2})
    campaign.end(first, 2.0)
    further = campaign.next()
    assert (further.point, further.exposure_s) == ({"x": 0.25, "z": 3.7}, 1.0)
    (alert,) = campaign.end(further, 2.0)
    assert alert.follow_ups == 0  # 4.2 lies outside


def test_a_reaction_that_fails_is_named_and_nothing_is_noted():
    calls = []

    def moody(suggestion, observation, situation):
        calls.append(suggestion.id)
        if len(calls) == 1:
            raise ValueError("not today")
        return [FollowUp({"x": 0.0, "z": 2.0})]

    campaign = Campaign(Rule("closer", HIGH, Remeasure()), Rule("moody", HIGH, moody))
    suggestion = campaign.next()
    with pytest.raises(PluginError, match=r"moody failed.*not today"):
        campaign.end(suggestion, 2.0)
    assert campaign.reactions.waiting == 0
    alerts = campaign.reactions.hear(suggestion, campaign.agent.observations[-1])
    assert [a.follow_ups for a in alerts] == [1, 1]


@pytest.mark.parametrize(
    ("follow_up", "exposure_s", "words"),
    [
        ({"x": 0.0, "z": 1.0}, 1.0, "FollowUp, got one of dict"),
        (FollowUp({"x": 0.0, "z": 1.0}, 3.0), None, "cannot expose longer"),
        (FollowUp({"x": 0.0, "z": 1.0}, -3.0), 1.0, "expected a number above 0"),
    ],
)
def test_what_is_no_follow_up_is_told(follow_up, exposure_s, words):
    campaign = Campaign(Rule("mine", HIGH, lambda *_: [follow_up]), exposure_s=exposure_s)
    with pytest.raises(PluginError, match=words):
        campaign.end(campaign.next(), 2.0)


def test_rules_that_contradict_the_campaign_are_refused():
    with pytest.raises(ReactionError, match="distinct"):
        Reactions(agent_of(), [Rule("a", HIGH, Note()), Rule("a", HIGH, Note())])
    with pytest.raises(ReactionError, match=r"looks at 'q', the campaign observes y"):
        Reactions(agent_of(), [Rule("a", Condition("q", "above", 1.0), Note())])
