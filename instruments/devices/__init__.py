"""Soft Ophyd devices: components and data keys are those of the EPICS classes in their place at a real beamline."""

from instruments.devices.beamline import Beamline, Exposure, Physics
from instruments.devices.detector import SaxsDetector
from instruments.devices.exposure import ExposingDevice
from instruments.devices.faults import Fault, Faults
from instruments.devices.motion import SoftAxis
from instruments.devices.positioners import DiscretePositioner, Shutter, SimulatedMotor, TemperatureStage
from instruments.devices.signals import SoftSignal, SoftSignalRO

__all__ = [
    "Beamline",
    "DiscretePositioner",
    "ExposingDevice",
    "Exposure",
    "Fault",
    "Faults",
    "Physics",
    "SaxsDetector",
    "Shutter",
    "SimulatedMotor",
    "SoftAxis",
    "SoftSignal",
    "SoftSignalRO",
    "TemperatureStage",
]
