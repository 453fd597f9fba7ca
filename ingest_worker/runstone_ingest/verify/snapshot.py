"""What a read model says at one moment, and what of it can be checked without the topics."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runstone.events import CATALOG
from runstone_ingest import logical_content
from runstone_ingest.marks import Mark
from runstone_ingest.plain_model.model import Content
from runstone_ingest.topic_reading import Span
from runstone_ingest.verify.findings import WRONG, Report
from runstone_store import digest, named_sql

SAMPLE_POINTS: Final = 300_000
"""Points in the sample, each of which the plain model keeps as an object; streams with more are left out."""

_SQL: Final = named_sql.load(__file__, "verify.sql")


@dataclass(slots=True)
class State:
    """What the read model says at one moment."""

    installation: tuple[str, int] | None
    partitions: list[Any]
    dead: set[tuple[str, int, int]] = field(default_factory=set)
    buried: dict[tuple[str, str], list[Span]] = field(default_factory=dict)  # seqs in dead letters
    marks: dict[tuple[str, str], tuple[Mark, str | None]] = field(default_factory=dict)
    sample: dict[str, int] = field(default_factory=dict)
    content: dict[str, Content] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


async def read(connection: Any, report: Report) -> State:
    """Everything but the sample, over a connection in a REPEATABLE READ transaction."""
    installation = await connection.fetchrow(_SQL["installation"])
    state = State(
        None if installation is None else tuple(installation),
        list(await connection.fetch(_SQL["partitions"])),
    )
    for topic, partition, offset, stream, session, first_seq, n in await connection.fetch(
        _SQL["dead_letters"]
    ):
        state.dead.add((topic, partition, offset))
        if stream is not None:
            state.buried.setdefault((stream, session), []).append((first_seq, first_seq + n))
    for topic, partition, reason in await connection.fetch(_SQL["halts"]):
        report.add(WRONG, f"{topic}/{partition}", f"it halts: {reason}; see 'runstone repair'")
    for (finding,) in await connection.fetch(_SQL["ledger_findings"]):
        report.add(WRONG, "topics", finding)
    async for stream, session, high_seq, missing, declared, ended in connection.cursor(
        _SQL["marks"], prefetch=1000
    ):
        ranges = tuple((part.lower, part.upper) for part in missing)
        state.marks[stream, session] = Mark(high_seq, ranges, declared), ended
    report.streams = len({stream for stream, _session in state.marks})
    report.sessions = len(state.marks)
    report.points = await connection.fetchval(_SQL["points"])
    return state


async def check_chunks(connection: Any, report: Report) -> None:
    """What must hold between the tables of points."""
    for run_id, key, in_chunks, counted in await connection.fetch(_SQL["miscounted_series"]):
        what = f"its chunks hold {in_chunks} points, its latest value counts {counted}"
        report.add(WRONG, f"run {run_id}, metric {key!r}", what)
    for run_id, key, offset, ended in await connection.fetch(_SQL["overlapping_chunks"]):
        what = (
            f"a chunk begins at offset {offset}, another goes up to offset {ended}, "
            "so that their order is not known"
        )
        report.add(WRONG, f"run {run_id}, metric {key!r}", what)
    for run_id, key, offset in await connection.fetch(_SQL["uneven_chunks"]):
        what = f"the chunk at offset {offset} has not as many steps and times as values"
        report.add(WRONG, f"run {run_id}, metric {key!r}", what)
    for table, run_id in await connection.fetch(_SQL["rows_without_a_run"]):
        report.add(WRONG, f"run {run_id}", f"{table} has rows of it, runs has none")
    for run_id, key in await connection.fetch(_SQL["misranked_metrics"]):
        report.add(
            WRONG, f"run {run_id}, metric {key!r}", "the run is over, and it is ranked by another value"
        )


async def pick(connection: Any, state: State, streams: Sequence[str], sample: int, report: Report) -> None:
    """Choose the streams to be made again, and read what is said of them."""
    if streams:
        rows = await connection.fetch(_SQL["these_streams"], list(streams))
        for absent in sorted(set(streams) - {row[0] for row in rows}):
            report.add(WRONG, f"stream {absent}", "nothing of it was applied; is it another installation's?")
    else:
        rows = await connection.fetch(_SQL["some_streams"], secrets.token_hex(8), sample)
    room = SAMPLE_POINTS
    for stream, points in rows:
        if points <= room or (streams and stream != CATALOG):
            state.sample[stream] = points
            room -= points
    state.content = await logical_content.of_streams(connection, [*state.sample, CATALOG])
    state.content[CATALOG] |= await logical_content.of_catalog(connection)
    state.digests = {
        found.stream: found.digest for found in await digest.some(connection, list(state.sample))
    }
