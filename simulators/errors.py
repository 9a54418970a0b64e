"""What can go wrong in a simulated or recorded world, said so that a person can mend it."""


class SimulatorError(Exception):
    """Base of everything that the simulators raise on purpose."""


class DataMissingError(SimulatorError, FileNotFoundError):
    """A recorded data set is not where it is looked for; the message says what is missing and where it was sought."""

    def __str__(self) -> str:
        """Return the message alone: OSError would take a second argument for an errno."""
        return str(self.args[0]) if self.args else ""


class RecordedDataError(SimulatorError, ValueError):
    """A recorded file does not hold what is asked of it; the message names the file, the column and the row."""


class ParameterError(SimulatorError, ValueError):
    """A physical parameter is missing, not finite or out of range; the message names it, its value and the range."""


class ScenarioError(SimulatorError, ValueError):
    """A scenario cannot be found or built; the message names it and lists what there is."""


class InstrumentModelError(SimulatorError, ValueError):
    """An instrument model contradicts itself, or is asked for a frame that it cannot make."""
