"""A whole campaign file, and the rules that span its sections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from loop.config.base import Component, Kind, Name, Positive, Section, refusal, refuse, suggestion
from loop.config.beamline import Beamline
from loop.config.data import Quality, Reduction
from loop.config.reactions import Reaction
from loop.config.space import Space

Broken = tuple[tuple[str | int, ...], Any, str]
"""A rule that does not hold: where, the value there, what is expected."""


class MapObjective(Section):
    """Learn an observable everywhere in the space."""

    kind: Literal["map"]
    """Learn the observable everywhere."""
    observable: Name
    """Which observable."""


class OptimiseObjective(Section):
    """Find where an observable is largest or smallest."""

    kind: Literal["optimise"]
    """Find the optimum."""
    observable: Name
    """Which observable."""
    direction: Literal["maximise", "minimise"]
    """Which optimum."""


class TargetObjective(Section):
    """Find the point whose curve is nearest to a target: minimise an observable that is a distance."""

    kind: Literal["target"]
    """Minimise a distance."""
    observable: Name
    """Which observable; one of kind `match`, or a distance of your own."""


Objective = Annotated[MapObjective | OptimiseObjective | TargetObjective, Field(discriminator="kind")]


class Acquisition(Component):
    """How the next point is chosen."""

    kind: Kind = "auto"
    """A built-in name, `module:Name` for your own class, or `auto`: the objective's default."""


class Surrogate(Component):
    """The model that is fitted to what was measured."""

    kind: Kind = "pbnn"
    """`pbnn`, `gp`, or `module:Name` for your own class."""
    prior: Annotated[str, Field(min_length=1)] | None = None
    """Theory: what `beamloop pretrain` wrote, without a suffix, relative to where the command runs; for surrogates that
    take a prior. The campaign keeps a copy in its folder."""
    refit: Annotated[float, Field(ge=0, le=1)] = 0.05
    """A full fit once the points have grown by this fraction since the last one; in between, the model is updated
    (models that can). 0: a full fit for every point."""


class Initial(Section):
    """Points measured before the model decides."""

    points: Annotated[int, Field(ge=2)] = 8
    """How many space-filling points are measured first."""


class Stopping(Section):
    """When the campaign is done: as soon as any of these holds."""

    points: Annotated[int, Field(ge=2)] | None = None
    """Number of points measured, the initial ones included; twice as many tried end it as well."""
    minutes: Positive | None = None
    """Time since the start, min."""
    rules: list[Component] = Field(default_factory=list)
    """More rules: `target_reached`, `no_improvement`, `predicted_sd_below`, or `module:Name`, each with its options."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.points is None and self.minutes is None and not self.rules:
            refuse("stopping", [((), {}, "at least one of points, minutes or rules, or the campaign never ends")])
        return self


class Measurement(Section):
    """How one point is measured."""

    exposure_s: Positive = 1.0
    """Exposure time of a frame, s."""
    attempts: Annotated[int, Field(ge=1)] = 2
    """How often a point is tried when the quality gate refuses it or a device fails."""
    detector_timeout_s: Positive = 30.0
    """How long the detector may take beyond the exposure before it counts as failed, s."""
    move_timeout_s: Positive = 600.0
    """How long the moves to a point may take before they count as failed, s."""
    failures_in_a_row: Annotated[int, Field(ge=1)] = 3
    """After so many points that could not be measured the campaign pauses."""


def _tiled(text: str) -> str:
    if text not in ("embedded", "none"):
        try:
            url = urlsplit(text)
            secret, usable = url.username or url.password, url.scheme in ("http", "https") and url.hostname
        except ValueError:
            secret = usable = None
        if secret or "api_key" in text:
            raise refusal(
                "a URL without credentials; the key comes from the environment variable BEAMLOOP_TILED_API_KEY"
            )
        if not usable:
            raise refusal('"embedded", "none", or the http(s) URL of a Tiled server')
    return text


class Storage(Section):
    """Where the campaign's records go."""

    folder: Annotated[str, Field(min_length=1)] = "campaigns"
    """Folder in which each campaign gets its own, relative to where the command runs."""
    tiled: Annotated[str, AfterValidator(_tiled)] = "embedded"
    """Catalogue of all documents: `embedded` (SQLite in the campaign's folder), `none`, or the URL of a Tiled server
    (its key comes from the environment variable BEAMLOOP_TILED_API_KEY, never from this file)."""


class Report(Section):
    """What the report compares with."""

    baseline_repeats: Annotated[int, Field(ge=0)] = 3
    """How often random sampling with the same budget is repeated for comparison."""
    best_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Which points count as the best, as a fraction of the space: the report says after how many measurements one of
    them was found (objectives with an optimum)."""


class CampaignConfig(Section):
    """A campaign of beamloop: what is measured, where, how points are chosen, and when it ends."""

    name: Name
    """Name of the campaign; its folder begins with it."""
    description: str = ""
    """What it is for, in a sentence or two."""
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """All randomness of the campaign comes from this number."""
    objective: Objective
    """What the campaign is to find out."""
    observables: Annotated[dict[Name, Component], Field(min_length=1)]
    """Numbers computed from each curve, by name."""
    space: Space
    """Where measurements may be taken."""
    beamline: Beamline
    """What measures."""
    surrogate: Surrogate = Surrogate()
    """The model."""
    acquisition: Acquisition = Acquisition()
    """How the next point is chosen."""
    initial: Initial = Initial()
    """Points measured before the model decides."""
    stopping: Stopping
    """When the campaign is done."""
    reactions: list[Reaction] = Field(default_factory=list)
    """What follows by itself when a measured value crosses a threshold; asked in this order."""
    measurement: Measurement = Measurement()
    """How one point is measured."""
    reduction: Reduction = Reduction()
    """From the frame to the curve (beamlines with a 2-D detector)."""
    quality: Quality = Quality()
    """When a measurement is refused."""
    storage: Storage = Storage()
    """Where the records go."""
    report: Report = Report()
    """What the report compares with."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that torch may use. Models of this size gain nothing from a second one, and lose much on a busy machine,
    where threads wait for each other."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the surrogate computes; `auto` takes a GPU if there is one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse("campaign", list(broken_rules(dict(self))))
        return self


def broken_rules(sections: dict[str, Any]) -> Iterator[Broken]:
    """Check the rules between sections that are there and valid in themselves; the others are passed over."""
    for needs, rule in (
        (("objective", "observables"), _objective_is_observed),
        (("initial", "stopping"), _initial_fits),
        (("space", "beamline"), _space_fits_beamline),
        (("beamline", "reduction"), _something_to_reduce),
        (("reactions",), _reactions_have_names),
        (("reactions", "observables"), _reactions_look_at_something),
        (("reactions", "beamline"), _reactions_can_be_done),
    ):
        if all(name in sections for name in needs):
            yield from rule(*(sections[name] for name in needs))


def _objective_is_observed(objective: Any, observables: Any) -> Iterator[Broken]:
    if objective.observable not in observables:
        known = f"one of the observables ({', '.join(observables)})"
        yield ("objective", "observable"), objective.observable, known + suggestion(objective.observable, observables)


def _initial_fits(initial: Any, stopping: Any) -> Iterator[Broken]:
    if stopping.points is not None and initial.points > stopping.points:
        yield ("initial", "points"), initial.points, f"at most stopping.points ({stopping.points})"


def _space_fits_beamline(space: Any, beamline: Any) -> Iterator[Broken]:
    if space.kind == "pool":
        if beamline.kind != "replay":
            yield (
                ("space", "kind"),
                "pool",
                f'"box" for a {beamline.kind} beamline: only a replayed one has a table of samples',
            )
        return
    if beamline.kind == "replay":
        yield ("space", "kind"), space.kind, '"pool" for a replayed beamline: it has nothing but its recorded samples'
        return
    users: dict[str, str] = {}
    for name, parameter in space.parameters.items():
        here = ("space", "parameters", name)
        device = beamline.devices.get(parameter.device)
        if device is None:
            known = f"one of the beamline's devices ({', '.join(beamline.devices)})"
            yield (*here, "device"), parameter.device, known + suggestion(parameter.device, beamline.devices)
            continue
        if parameter.device in users:
            yield (*here, "device"), parameter.device, f"a device that does not yet serve {users[parameter.device]}"
        users[parameter.device] = name
        if parameter.unit != device.unit:
            yield (*here, "unit"), parameter.unit, f"the unit of device {parameter.device} ({device.unit})"
            continue
        reach = f"the limits of device {parameter.device} ({device.low:g} to {device.high:g} {device.unit})"
        for bound in ("low", "high"):
            value = getattr(parameter, bound)
            if not device.low <= value <= device.high:
                yield (*here, bound), value, f"a number within {reach}"


def _something_to_reduce(beamline: Any, reduction: Any) -> Iterator[Broken]:
    if beamline.kind == "replay" and reduction.keywords():
        yield ("reduction",), reduction.keywords(), "nothing with a replayed beamline: its curves are already reduced"


def _reactions_have_names(reactions: Any) -> Iterator[Broken]:
    names = [reaction.name for reaction in reactions]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield ("reactions", number, "name"), name, "a name that no reaction before it has"


def _reactions_look_at_something(reactions: Any, observables: Any) -> Iterator[Broken]:
    for number, reaction in enumerate(reactions):
        name = reaction.when.observable
        if name not in observables:
            known = f"one of the observables ({', '.join(observables)})"
            yield ("reactions", number, "when", "observable"), name, known + suggestion(name, observables)


def _reactions_can_be_done(reactions: Any, beamline: Any) -> Iterator[Broken]:
    if beamline.kind != "replay":
        return
    for number, reaction in enumerate(reactions):
        if reaction.do.kind == "remeasure":
            expected = "look_around, note or your own: what is recorded cannot be exposed longer"
            yield ("reactions", number, "do", "kind"), "remeasure", expected
