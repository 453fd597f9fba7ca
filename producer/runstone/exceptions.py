"""What Runstone raises.

Only the caller's own mistakes raise, at once and before anything is written. What only a server can tell
(nothing listens, somebody else answers) is never an exception in training code: it is one warning.
"""


class RunstoneError(Exception):
    """Root of all exceptions of Runstone; its message says what was wrong, what was expected, what to do."""


class InvalidInputError(RunstoneError, ValueError):
    """A key, value, step, path or address that cannot be recorded."""


class RunEndedError(RunstoneError):
    """A call on a run that has already ended."""


class NoSuchRunError(RunstoneError, LookupError):
    """A run id that is not known."""


class NoSuchArtifactError(RunstoneError, LookupError):
    """A file or folder that a run does not have (yet)."""


class NoSuchExperimentError(RunstoneError, LookupError):
    """An experiment's name or id that is not known."""


class ConflictError(RunstoneError):
    """What is there does not allow what was asked: a name that is taken, an experiment that is deleted."""


class MalformedEnvelopeError(RunstoneError, ValueError):
    """Bytes that are not an envelope of the event contract; the message is the reason of a dead letter."""


class UnknownVersionError(MalformedEnvelopeError):
    """An envelope of a version that this program does not know."""


class ServerError(RunstoneError):
    """A server was asked and did not answer as expected; the message says which and how."""
