"""What starting the parts on this machine can fail with."""

from runstone.exceptions import RunstoneError


class CannotStartError(RunstoneError):
    """A part, or all of ``up``, cannot be started here; the message is one line that says what to do."""
