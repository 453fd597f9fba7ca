"""Goes through a read model and the topics it was made from.

What Postgres says is read first, in one REPEATABLE READ transaction, so it is the state at certain offsets;
then the topics up to these offsets, without any consumer group. Ingest goes on meanwhile and changes nothing
of either. What cannot be compared (a topic that has lost its beginning) is said to be so, never passed over.
"""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from runstone.events.seq_ranges import without
from runstone_ingest import topic_reading
from runstone_ingest.topic_reading import Span
from runstone_ingest.verify import comparing, snapshot
from runstone_ingest.verify.comparing import SHOWN
from runstone_ingest.verify.findings import LOST, NOTED, WRONG, PartitionCount, Report
from runstone_ingest.verify.snapshot import State

SAMPLE: Final = 20
"""Streams that the plain model makes again."""


async def verify(
    connection: Any,
    bootstrap: str,
    prefix: str,
    generation: str,
    *,
    streams: Sequence[str] = (),
    sample: int = SAMPLE,
    scan: bool = True,
) -> Report:
    """Check the read model that the asyncpg *connection*'s search path names.

    Args:
        connection: to the read model; used for one read-only transaction.
        bootstrap: Kafka's servers.
        prefix: of the topics' names.
        generation: what *connection* looks at, for the report.
        streams: to be made again by the plain model, instead of a sample.
        sample: how many streams are picked for that.
        scan: whether the topics are read at all.

    Raises:
        TopicError: Kafka does not answer.
        OSError, asyncpg.PostgresError: Postgres does not.
    """
    report = Report(generation)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        state = await snapshot.read(connection, report)
        await snapshot.check_chunks(connection, report)
        if scan:
            await snapshot.pick(connection, state, streams, sample, report)
    _count(state, report)
    _check_gaps(state, report)
    if state.installation is None:
        report.add(WRONG, "installation", "the catalog was not applied yet, so nothing can be compared")
        return report
    report.installation_id, partitions = state.installation
    places = topic_reading.places(prefix, partitions)
    spans = await topic_reading.spans(bootstrap, places)
    wanted = _compare_offsets(state, spans, report)
    if scan:
        await comparing.scan(bootstrap, prefix, partitions, wanted, state, report)
    return report


def _count(state: State, report: Report) -> None:
    """The counters must agree with one another and with the dead letters."""
    for topic, partition, next_offset, _hash, records, duplicates, dead in state.partitions:
        applied = records - duplicates - dead
        report.partitions.append(
            PartitionCount(topic, partition, next_offset, records, applied, duplicates, dead)
        )
        kept = sum(1 for letter in state.dead if letter[:2] == (topic, partition))
        if kept != dead:
            what = f"{dead} records are counted as dead letters, {kept} dead letters are kept"
            report.add(WRONG, f"{topic}/{partition}", what)
    if state.dead:
        first = "/".join(map(str, min(state.dead)))
        what = f"there are {len(state.dead)}, the first at {first}: see 'runstone dead-letters'"
        report.add(NOTED, "dead letters", what)


def _check_gaps(state: State, report: Report) -> None:
    """What has not come, though it was not declared. What an open session has not sent yet may still come."""
    found: list[tuple[str, str, str]] = []
    for (stream, session), (mark, ended) in sorted(state.marks.items()):
        declared = [(said["first_seq"], said["first_seq"] + said["count"]) for said in mark.declared]
        left = without(mark.missing, declared)
        unexplained = without(left, state.buried.get((stream, session), []))
        if left:
            seqs = sum(end - low for low, end in left)
            ranges = ", ".join(f"{low} to {end - 1}" for low, end in left[:5]) + (" …" if left[5:] else "")
            what = f"{seqs} records of session {session} are not applied: seqs {ranges}"
            if not unexplained:
                what += "; they are in dead letters"
            elif ended != "ended":
                what += "; it has not ended, and they may come"
            found.append((LOST if unexplained and ended == "ended" else NOTED, f"stream {stream}", what))
    found.sort(key=lambda one: one[0] != LOST)
    for gap in found[:SHOWN]:
        report.add(*gap)
    if found[SHOWN:]:
        report.add(found[SHOWN][0], "gaps", f"{len(found) - SHOWN} more sessions have some")


def _compare_offsets(
    state: State, spans: dict[TopicPartition, Span], report: Report
) -> dict[TopicPartition, Span]:
    """What of the topics was applied; partitions that cannot be compared are left out, and said to be so."""
    applied = {(row[0], row[1]): row[2] for row in state.partitions}
    behind = {}
    wanted = {}
    for tp, (low, end) in spans.items():
        where = f"{tp.topic}/{tp.partition}"
        offset = applied.pop((tp.topic, tp.partition), 0)
        behind[tp.topic, tp.partition] = end - offset
        if offset > end:
            what = (
                f"{offset} offsets are applied, the topic ends at {end}: "
                "it has lost records, or it was made again"
            )
            report.add(WRONG, where, what)
        elif low > 0 and offset > 0:
            what = f"the topic begins at offset {low}: what came before can be neither checked nor replayed"
            report.add(WRONG, where, what)
        else:
            wanted[tp] = low, offset
    for topic, partition in applied:
        report.add(
            WRONG, f"{topic}/{partition}", "it was applied, but is no part of this installation's topics"
        )
    report.partitions = [
        PartitionCount(
            p.topic, p.partition, p.next_offset, p.records, p.applied, p.duplicates, p.dead,
            behind.get((p.topic, p.partition)),
        )
        for p in report.partitions
    ]  # fmt: skip
    late = sum(n for n in behind.values() if n > 0)
    if late:
        report.add(NOTED, "ingest", f"{late} offsets of the topics are not applied yet")
    return wanted
