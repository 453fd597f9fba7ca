"""A passing fault behind this gateway: the request is answered with 503 and may be sent again."""

from runstone.exceptions import ServerError


class UnavailableError(ServerError):
    """Attributes:
    retry_after: seconds after which another attempt makes sense.
    """

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KafkaAwayError(UnavailableError):
    """Kafka has not acknowledged in time, or cannot be asked."""


class ReadApiAwayError(UnavailableError):
    """The read API does not answer, or the read model has not caught up."""
