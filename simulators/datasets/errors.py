"""What can go wrong with a data set, said so that a person can mend it."""

from simulators.errors import SimulatorError


class DatasetError(SimulatorError, ValueError):
    """A data set cannot be made, gone on with or read; the message names the folder and what was found there."""
