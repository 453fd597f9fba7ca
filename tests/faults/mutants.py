"""`runstone worker` with a bug: python -m tests.faults.mutants BUG [POINT NTH SIGNAL].

What the tests of faults check with must tell each of these from a worker without. The arguments behind the bug
are those of `worker_at_a_point`.
"""

import sys
from typing import Any

from runstone import cli
from runstone.events import types
from runstone_ingest import chunk_copy, merge_step, writer
from runstone_ingest.marks import Mark
from runstone_ingest.projector import runs
from tests.faults import worker_at_a_point
from tests.faults.merging_worker import merge_at_once


def trimming_is_skipped() -> None:
    Mark.claim = lambda _self, low, end: [(low, end)]


def a_chunk_is_lost() -> None:
    encode = chunk_copy.encode
    chunk_copy.encode = lambda all_: encode(
        all_._replace(series=all_.series[:-1], starts=all_.starts[:-1], first_offsets=all_.first_offsets[:-1])
    )


def a_chunk_is_lost_in_merging() -> None:
    merged = merge_step._merged
    merge_step._merged = lambda rows: merged(rows[1:])


def a_bad_record_is_passed_over() -> None:
    async def nothing(*_: Any) -> None:
        pass

    writer._dead_letters = nothing


def a_rule_reads_another_stream() -> None:
    said: dict[str, types.Tag] = {}

    def tag(changes: Any, run_id: str, _session: str, event: types.Tag) -> None:
        changes.tags[run_id, event.key] = said.setdefault(event.key, event)

    runs.BESIDE_THE_RUN[types.Tag] = tag


def the_compare_and_set_is_dropped() -> None:
    condition = "AND p.epoch = moved.epoch AND p.next_offset = moved.expected"
    assert condition in writer._SQL["advance"]
    writer._SQL = {**writer._SQL, "advance": writer._SQL["advance"].replace(condition, "")}


def the_offset_is_committed_before_the_rows() -> None:
    async def write(connection: Any, advances: Any, changes: Any) -> None:
        async with connection.transaction():
            await writer._advance(connection, advances)
        points = writer.group(changes.segments) if changes.segments else None
        async with connection.transaction():
            await writer._rows(connection, changes, points)

    writer.write = write


BUGS = {
    "trimming is skipped": trimming_is_skipped,
    "a chunk is lost": a_chunk_is_lost,
    "a chunk is lost in merging": a_chunk_is_lost_in_merging,
    "a bad record is passed over": a_bad_record_is_passed_over,
    "a rule reads another stream": a_rule_reads_another_stream,
    "the compare-and-set is dropped": the_compare_and_set_is_dropped,
    "the offset is committed before the rows": the_offset_is_committed_before_the_rows,
}


def main() -> int:
    bug, *point = sys.argv[1:]
    BUGS[bug]()
    merge_at_once()
    return worker_at_a_point.run(*point) if point else cli.main(["worker"])


if __name__ == "__main__":
    sys.exit(main())
