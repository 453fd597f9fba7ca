"""`read_events`: the topics as a user reads them. What does the work is imported when it is called."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstone.ledger import EventReader
    from runstone.ledger.choice import Moment


def read_events(
    bootstrap: str,
    *,
    run_id: str | None = None,
    experiment: str | int | None = None,
    since: "Moment | None" = None,
    until: "Moment | None" = None,
    position: str | None = None,
    follow: bool = False,
    topic_prefix: str | None = None,
) -> "EventReader":
    """Read the ledger itself: every event as it lies in Kafka, typed, once, in the order of its stream.

    ``async for event in runstone.read_events("kafka:9092", run_id=…)`` gives ``runstone.ledger.LedgerEvent``:
    the event (of ``runstone.events.types``, or a ``Point``) with its offset, session and seq. Records that
    senders repeated are left out as the read model leaves them out, among all that this call reads: where it
    does not begin at the beginning, one from before may be given once more. Streams (runs) are in order; what
    two streams say comes in any order. Keep ``position`` of the iterator to go on later.

    Args:
        bootstrap: Kafka's servers, ``host:port``; their security settings are ``RUNSTONE_KAFKA_*``.
        run_id: only the events of this run (or logged model without one, or ``catalog``).
        experiment: only those of the runs of this experiment, by its name or id.
        since: only those that the broker got from this moment on: a datetime, milliseconds UTC, an ISO 8601
            text, or an age such as ``90m``.
        until: only those that it got before this one.
        position: go on where an earlier iterator's ``position`` was.
        follow: wait for what is yet to come, until *until* or for ever.
        topic_prefix: of the topics' names; by default RUNSTONE_TOPIC_PREFIX, else ``runstone``.

    Returns:
        An async iterator; while it is used it raises `ServerError` where Kafka does not answer, and
        `NoSuchExperimentError`.

    Raises:
        InvalidInputError: arguments that contradict each other, or are no moment or position.
    """
    import os  # noqa: PLC0415  # training code never comes here

    from runstone.ledger import EventReader  # noqa: PLC0415  # brings in aiokafka
    from runstone.ledger.choice import choose  # noqa: PLC0415

    prefix = topic_prefix or os.environ.get("RUNSTONE_TOPIC_PREFIX", "").strip() or "runstone"
    return EventReader(bootstrap, prefix, choose(run_id, experiment, since, until, position, follow))
