"""What the store raises."""

from runstone.exceptions import RunstoneError


class StoreError(RunstoneError):
    """Root of what is wrong with the read model's database as such."""


class NotMigratedError(StoreError):
    """The database holds no read model (yet)."""


class MigrationError(StoreError):
    """What is in the database is not what this version's migrations made or can continue."""


class NoSuchGenerationError(StoreError):
    """There is no read model of that name (any more)."""


class GenerationError(StoreError):
    """A generation cannot become what was asked for; the message says why and what to do."""
