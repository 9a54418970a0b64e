"""A reaction of one's own: go a step further along one parameter."""

from dataclasses import dataclass

from loop.reactions import FollowUp


@dataclass(frozen=True)
class StepOn:
    """Measures the same point with one parameter changed, and half as long."""

    parameter: str
    by: float

    def __call__(self, suggestion, observation, situation):
        further = {**suggestion.point, self.parameter: suggestion.point[self.parameter] + self.by}
        return [FollowUp(further, exposure_factor=0.5)]
