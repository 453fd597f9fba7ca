"""What the worker and its commands raise."""

from runstone.exceptions import RunstoneError


class IngestError(RunstoneError):
    """Root of what is wrong with the topics or the way into the read model."""


class TopicError(IngestError):
    """The topics are not there, or not what Runstone can work with."""


class NotOurPartitionError(IngestError):
    """Another worker owns a partition now; nothing of the batch was applied."""


class StuckError(IngestError):
    """A worker has stopped working although everything around it answers; only a new one helps."""


class RefusedRowsError(IngestError):
    """Postgres refuses what a batch holds, whatever the time; one of its records is to blame."""
