"""Reads what was applied of the topics once more and compares it with what a read model says."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from aiokafka import TopicPartition

from runstone.events import CATALOG, identity
from runstone_ingest import logical_content, topic_reading
from runstone_ingest.marks import Mark
from runstone_ingest.plain_model import PlainModel
from runstone_ingest.topic_reading import Span
from runstone_ingest.verify.accounting import Accounting
from runstone_ingest.verify.findings import WRONG, Report, Sampled
from runstone_ingest.verify.snapshot import State
from runstone_store.configuration import catalog_topic

SHOWN: Final = 20
"""Findings of one kind that are told; how many more there are is said."""


async def scan(
    bootstrap: str,
    prefix: str,
    partitions: int,
    wanted: dict[TopicPartition, Span],
    state: State,
    report: Report,
) -> None:
    """Count what the *wanted* spans hold, and make the sample of it.

    Raises:
        TopicError: Kafka fails.
    """

    @lru_cache(maxsize=100_000)
    def home(stream: str) -> int:
        return identity.partition_of(stream, partitions)

    accounting = Accounting(state.dead, catalog_topic(prefix), home)
    model = PlainModel()
    keys = {stream.encode() for stream in (*state.sample, CATALOG)}
    report.scanned = 0
    unread: set[TopicPartition] = set()
    async for record in topic_reading.read(bootstrap, wanted):
        tp = TopicPartition(record.topic, record.partition)
        if tp in unread:
            continue
        report.scanned += 1
        try:
            accounting.take(record)
            if record.key in keys:
                dead = record[:3] in state.dead
                model.apply(accounting.letter(record) if dead else accounting.judge(record))
        except (KeyError, ValueError) as wrong:
            unread.add(tp)
            what = (
                f"the record at offset {record.offset} was applied, but it cannot be read ({wrong!r}): the "
                "topic is not the one that the read model was made from"
            )
            report.add(WRONG, f"{tp.topic}/{tp.partition}", what)
    wanted = {tp: span for tp, span in wanted.items() if tp not in unread}
    _compare_counts(wanted, accounting, state, report)
    _compare_marks(wanted, accounting, state, home, catalog_topic(prefix), report)
    _compare_sample(wanted, model, state, home, prefix, report)


def _compare_counts(
    wanted: dict[TopicPartition, Span], accounting: Accounting, state: State, report: Report
) -> None:
    for topic, partition, next_offset, last_hash, *counts in state.partitions:
        tp = TopicPartition(topic, partition)
        found = accounting.partitions.get((topic, partition))
        if tp not in wanted or next_offset == 0:
            continue
        where = f"{topic}/{partition}"
        if found is None or found.last is None:
            report.add(WRONG, where, f"{next_offset} offsets are applied, the topic holds no record of them")
            continue
        names = ("records", "duplicates", "dead letters")
        there = (found.records, found.duplicates, found.dead)
        for name, counted, of_topic in zip(names, counts, there, strict=True):
            if counted != of_topic:
                what = f"the read model counts {counted} {name}, the topic has {of_topic}"
                report.add(WRONG, where, what)
        if last_hash is not None and found.last.hash() != last_hash:
            what = (
                f"the record at offset {found.last.offset} is not the one that was applied: "
                "the topic was rewritten or made again"
            )
            report.add(WRONG, where, what)


def _compare_marks(
    wanted: dict[TopicPartition, Span],
    accounting: Accounting,
    state: State,
    home: Callable[[str], int],
    catalog: str,
    report: Report,
) -> None:
    """Every seq of every session: what has come must be what was applied."""
    places = {(tp.topic, tp.partition) for tp in wanted}
    events = {tp.partition for tp in wanted if tp.topic != catalog}
    unlike = []
    nothing = Mark()
    for stream, session in sorted(state.marks.keys() | accounting.marks.keys()):
        there = (catalog, 0) in places if stream == CATALOG else home(stream) in events
        if not there:
            continue
        applied, _ended = state.marks.get((stream, session), (nothing, None))
        came = accounting.marks.get((stream, session), nothing)
        if (applied.high_seq, applied.missing) != (came.high_seq, came.missing):
            unlike.append((stream, session, applied, came))
    for stream, session, applied, came in unlike[:SHOWN]:
        what = (
            f"session {session}: the read model has seqs up to {applied.high_seq} without "
            f"{list(applied.missing)}, the topic up to {came.high_seq} without {list(came.missing)}"
        )
        report.add(WRONG, f"stream {stream}", what)
    if len(unlike) > SHOWN:
        report.add(WRONG, "sessions", f"{len(unlike) - SHOWN} more are not as the topic has them")


def _compare_sample(
    wanted: dict[TopicPartition, Span],
    model: PlainModel,
    state: State,
    home: Callable[[str], int],
    prefix: str,
    report: Report,
) -> None:
    events = {tp.partition for tp in wanted if tp.topic != catalog_topic(prefix)}
    for stream, points in state.sample.items():
        if home(stream) not in events:
            continue
        unlike = list(logical_content.differences(model.content(stream), state.content[stream]))
        for line in unlike[:SHOWN]:
            report.add(WRONG, f"stream {stream}", line)
        report.sample.append(Sampled(stream, points, state.digests.get(stream, ""), not unlike))
    if TopicPartition(catalog_topic(prefix), 0) in wanted:
        catalog = {name: rows for name, rows in model.catalog().items() if name != "verdicts"}
        found = {name: rows for name, rows in state.content[CATALOG].items() if name in catalog}
        for line in list(logical_content.differences(catalog, found))[:SHOWN]:
            report.add(WRONG, "catalog", line)
