"""Reactions: what a campaign does by itself when a measured value crosses a threshold.

A *rule* joins a condition on an outcome ("novelty above 12, by two standard deviations") to a *reaction*, which names
points to be measured next: its *follow-ups*.

The contract
------------
1. Only measured outcomes are looked at, each once, when it is known, by every rule in the file's order.
2. Where a rule's condition holds, an `Alert` goes into the decisions run (stream ``alert``), with the number of
   follow-ups that the reaction asks for. That number is 0 for reactions that ask for nothing, once the rule has reacted
   `at_most` times, and where there is nothing left to measure.
3. A reaction is called with the suggestion, its observation and the `Situation`. What it returns is a function of these
   alone: a campaign taken up again asks it again.
4. Follow-ups wait in a queue, first come, first served, and go before the acquisition's next choice. The point that was
   decided while the triggering one was being measured still comes first: see `loop.engine`.
5. A follow-up at the very point that it follows is a *remeasurement*. Its own outcome may raise alerts and be looked
   around, but is never remeasured again.
6. Any other follow-up must be `Situation.free`, when it is asked for and again when its turn comes: not taken, and in a
   box not within the exclusion radius of a point that is in flight or was lost. One that is not is dropped silently.
7. Follow-ups are points like others: stopping rules count them, they can fail, the model learns from them. Those still
   waiting when the campaign ends are not measured. They do not count as initial points, nor as the acquisition's.
8. Nothing is stored but what the journal holds. The queue is rebuilt by telling the same outcomes again, each at the
   same place between the decisions as before (`Suggestion.based_on` says where); follow-ups that were suggested
   already leave the queue as they did then.

A reaction of one's own is a class whose constructor takes the options and whose ``__call__`` is that of `Reaction`,
named ``module:Name`` in the file or offered under the entry-point group ``beamloop.reaction``.
"""

from loop.reactions.builtin import BUILTIN, LookAround, Note, Remeasure
from loop.reactions.contract import FollowUp, Reaction, ReactionError, Situation
from loop.reactions.queue import Reactions
from loop.reactions.rules import Condition, Rule

__all__ = [
    "BUILTIN",
    "Condition",
    "FollowUp",
    "LookAround",
    "Note",
    "Reaction",
    "ReactionError",
    "Reactions",
    "Remeasure",
    "Rule",
    "Situation",
]
