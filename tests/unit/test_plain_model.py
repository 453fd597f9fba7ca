"""The projector makes of random histories what the plain model makes of them, in no time and without a database.

``tests/faults/test_histories.py`` says the same of Kafka, workers and Postgres together.
"""

from dataclasses import asdict
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.events import types
from runstone_ingest import logical_content
from runstone_ingest.marks import Mark
from runstone_ingest.plain_model import PlainModel
from runstone_ingest.plain_model.model import Content
from runstone_ingest.plain_model.points import derived
from runstone_ingest.projector import projection, runs
from runstone_ingest.projector.rows import Experiment
from runstone_ingest.records import Address, DeadLetter
from tests.event_strategies import SESSIONS, experiment_events, registry_events, run_events, sessions
from tests.rows_in_memory import Point, Tables, admitted, pack

RUN, OTHER = "0a" * 16, "0b" * 16


def of_stream(tables: Tables, stream: str) -> Content:
    """What the projector's rows say of a stream, in the plain model's form."""

    def rows(table: dict[Any, Any], *keys: str) -> dict[Any, Any]:
        found = {key: row for key, row in table.items() if key[0] == stream}
        if not keys:
            return found
        return {
            key: {name: value for name, value in asdict(row).items() if name not in keys}
            for key, row in found.items()
        }

    run = tables.loaded.runs.get(stream)
    marks = rows(tables.loaded.marks, "last_time")
    return {
        "runs": {} if run is None else {(stream,): {k: v for k, v in asdict(run).items() if k != "run_id"}},
        "params": rows(tables.params),
        "param_conflicts": rows(tables.conflicts),
        "tags": rows(tables.tags),
        "artifacts": rows(tables.artifacts, "path"),
        "dataset_inputs": rows(tables.datasets, "name", "digest"),
        "model_inputs": rows(tables.inputs),
        "model_outputs": rows(tables.outputs),
        "logged_models": rows(tables.loaded.models, "stream", "model_id"),
        "model_artifacts": rows(tables.model_artifacts, "model_id", "path"),
        "marks": {key: row | {"missing": list(row["missing"])} for key, row in marks.items()},
    } | derived(rows(tables.series), run.status if run else "RUNNING")


def of_catalog(tables: Tables) -> Content:
    """The same of the catalog, without what the projector does not make rows of by itself."""
    models = tables.loaded.registered_models
    return {
        "experiments": {
            (key,): {name: value for name, value in asdict(row).items() if name != "experiment_id"}
            for key, row in tables.loaded.experiments.items()
        },
        "experiment_tags": tables.experiment_tags,
        "registered_models": {
            (name,): {
                column: getattr(row, column)
                for column in ("description", "creation_time", "last_update_time", "last_version")
            }
            for name, row in models.items()
        },
        "registered_model_tags": {
            (name, key): value for name, rows in tables.registry.items() for key, value in rows.tags.items()
        },
        "registered_model_aliases": {
            (name, key): value
            for name, rows in tables.registry.items()
            for key, value in rows.aliases.items()
        },
        "model_versions": {
            (name, number): {column: value for column, value in asdict(row).items() if column != "version"}
            for name, model in models.items()
            for number, row in model.versions.items()
        },
        "model_version_tags": {
            (name, *key): value
            for name, rows in tables.registry.items()
            for key, value in rows.version_tags.items()
        },
        "verdicts": {(request,): verdict for request, verdict in tables.verdicts.items()},
    }


def differences(items: list[Any], sizes: list[int], streams: tuple[str, ...] = (RUN, OTHER)) -> list[str]:
    """How the projector, given *items* in batches of *sizes*, differs from the plain model in these streams."""
    tables, model = Tables(), PlainModel()
    ends = [end for end in accumulate(sizes) if end < len(items)]
    for low, end in zip([0, *ends], [*ends, len(items)], strict=True):
        tables.batch(items[low:end])
    for item in items:
        model.apply(item)
    return [
        line
        for stream in streams
        for line in logical_content.differences(model.content(stream), of_stream(tables, stream))
    ]


said = st.tuples(st.sampled_from([RUN, OTHER]), sessions, st.lists(run_events, min_size=1, max_size=8))
piece = st.tuples(
    st.sampled_from([RUN, OTHER]), sessions, st.integers(0, 12), st.integers(1, 12), st.booleans()
)


@settings(max_examples=150)
@given(st.lists(said, min_size=1, max_size=5), st.lists(piece, max_size=12), st.lists(st.integers(1, 6)))
def test_any_pieces_in_any_order_give_what_the_plain_model_gives(
    journals: list[Any], pieces: list[Any], sizes: list[int]
):
    told: dict[tuple[str, str], list[Any]] = {}
    for stream, session, records in journals:
        told.setdefault((stream, session), []).extend(records)
    items: list[Any] = []
    for stream, session, low, size, dead in pieces:
        records = told.get((stream, session), [])[low : low + size]
        if not records:
            continue
        item = admitted(pack(session, stream, low, records), len(items))
        if dead:
            address = Address(session, stream, low, len(records))
            item = DeadLetter(item.record, "bad", address, accountable=True)
        items.append(item)
    assert not differences(items, sizes)


@settings(max_examples=150)
@given(st.lists(experiment_events | registry_events, min_size=1, max_size=30), st.integers(1, 30))
def test_the_catalog_is_what_the_plain_model_gives(events: list[Any], size: int):
    tables, model = Tables(), PlainModel()
    tables.loaded.experiments[0] = Experiment(0, "Default", "Default", 0, 0)  # the schema brings it
    items = [admitted(pack(SESSIONS[0], "catalog", n, [event]), n) for n, event in enumerate(events)]
    for low in range(0, len(items), size):
        tables.batch(items[low : low + size])
    for item in items:
        model.apply(item)
    found = of_catalog(tables)
    expected = {name: rows for name, rows in model.catalog().items() if name in found}
    assert not list(logical_content.differences(expected, found))


A_HISTORY = [
    admitted(pack(SESSIONS[0], RUN, 0, [types.RunStarted(7, "digits", "first", 1)]), 0),
    admitted(
        pack(SESSIONS[0], RUN, 1, [Point(types.SeriesKey("loss"), n, n, float(n)) for n in range(5)]), 1
    ),
    admitted(
        pack(SESSIONS[0], RUN, 3, [Point(types.SeriesKey("loss"), n, n, float(n)) for n in range(2, 7)]), 2
    ),
    admitted(pack(SESSIONS[1], OTHER, 0, [types.RunStarted(7, "digits", "second", 1)]), 3),
    admitted(pack(SESSIONS[1], RUN, 0, [types.SessionLost(SESSIONS[0], 5)]), 4),
    admitted(pack(SESSIONS[0], RUN, 8, [types.Tag("k", "v", 6)]), 5),
]


def _untrimmed(_self: Mark, low: int, end: int) -> list[tuple[int, int]]:
    return [(low, end)]


def _of_any_run(changes: Any, run_id: str, partition: int, offset: int) -> Any:
    return next(iter(changes.runs.values()), None) or ORIGINAL_RUN(changes, run_id, partition, offset)


ORIGINAL_RUN = projection.Changes.run


@pytest.mark.parametrize(
    ("owner", "name", "mutant"),
    [
        (Mark, "claim", _untrimmed),
        (projection.Changes, "run", _of_any_run),
        (projection, "revoke_loss", lambda *_: False),
        (runs.Run, "last_offset", property(lambda _: 0, lambda *_: None)),
    ],
    ids=["trimming skipped", "a rule that reads another stream", "a loss is for ever", "offsets stay"],
)
def test_a_projector_with_a_bug_differs_from_the_plain_model(owner, name, mutant, monkeypatch):
    assert not differences(A_HISTORY, [6])
    monkeypatch.setattr(owner, name, mutant)
    assert differences(A_HISTORY, [6])
