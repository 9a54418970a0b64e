"""What can go wrong at the instrument, said so that a person can mend it."""


class InstrumentError(Exception):
    """Base of everything that the instrument side raises on purpose."""


class LimitsError(InstrumentError, ValueError):
    """A point lies outside what a device can reach; the message names device, value and limits."""


class FrameWriteError(InstrumentError, OSError):
    """A frame could not be written; nothing half-written is left under its final name."""
