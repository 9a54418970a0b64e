"""What can go wrong in a simulated or recorded world, said so that a person can mend it."""


class SimulatorError(Exception):
    """Base of everything that the simulators raise on purpose."""


class DataMissingError(SimulatorError, FileNotFoundError):
    """A recorded data set is not where it is looked for; the message says what is missing and where it was sought."""
