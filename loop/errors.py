"""What can go wrong on the decision side, said so that a person can mend it.

Every message states what was expected, what came, where, and what to do. The command line prints the message of a
`BeamloopError` alone, without a traceback.
"""


class BeamloopError(Exception):
    """Base of everything that beamloop's decision side raises on purpose."""


class ConfigError(BeamloopError, ValueError):
    """A campaign file is wrong: the message names the file, the key, what was found and what is allowed."""


class SpaceError(BeamloopError, ValueError):
    """A point does not belong to the search space, or a search space contradicts itself."""


class PluginError(BeamloopError):
    """A plug-in cannot be found, or does not do what its kind demands; the message names the plug-in."""


class JournalError(BeamloopError):
    """A campaign's journal cannot be read or written."""


class StorageFullError(JournalError):
    """Nothing more can be written; what was written before stands. The campaign pauses."""
