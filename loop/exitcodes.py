"""What the exit code of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `beamloop`."""

    DONE = 0
    """Everything was done; of a campaign: a stopping rule ended it."""
    INTERNAL_ERROR = 1
    """Something that nobody foresaw; the log has the traceback."""
    BAD_INPUT = 2
    """A file, an option or a value is wrong, or something that is needed is missing; the message says what to do."""
    PAUSED = 3
    """The campaign waits for a person; `beamloop resume` goes on."""
    STOPPED = 4
    """A person stopped it; `beamloop resume` goes on."""
