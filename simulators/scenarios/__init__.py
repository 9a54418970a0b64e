"""Samples whose structure follows from a few parameters that an experiment can set."""

from simulators.scenarios.base import SampleProperties, Scenario, ScenarioParameter
from simulators.scenarios.registry import make_scenario, scenario_kinds

__all__ = ["SampleProperties", "Scenario", "ScenarioParameter", "make_scenario", "scenario_kinds"]
