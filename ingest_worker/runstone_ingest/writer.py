"""The one module that opens the write transaction.

Everything of a batch is in memory before BEGIN. The first statement moves the offsets of the batch's
partitions by compare-and-set on (epoch, next offset): it locks their rows, and if one of them is not ours or
not where we left it, nothing was done. Rows, marks, dead letters and offsets then become visible together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
import orjson

from runstone_ingest import chunk_copy
from runstone_ingest.exceptions import NotOurPartitionError, RefusedRowsError
from runstone_ingest.marks import Mark
from runstone_ingest.projector.points import Grouped, group
from runstone_ingest.projector.rows import Changes, MarkKey, RegisteredModel, Tally
from runstone_store import named_sql

VERDICTS_KEPT: Final = 10_000
"""Offsets of the catalog; nobody waits for a verdict for longer than some seconds."""

_SQL: Final = named_sql.load(__file__, "writer.sql")

_REFUSED: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


@dataclass(frozen=True, slots=True)
class Advance:
    """A partition's move: from *expected* to *next_offset*, if the epoch is still *epoch*."""

    topic: str
    partition: int
    epoch: int
    expected: int
    next_offset: int
    last_hash: bytes
    tally: Tally


async def write(connection: Any, advances: Sequence[Advance], changes: Changes) -> None:
    """Apply *changes* and move the offsets, all of it or nothing.

    Raises:
        NotOurPartitionError: another worker has taken one of the partitions.
        RefusedRowsError: Postgres refuses a value; trying again would not help.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the connection or the server fails; whether
            the transaction was committed is unknown until the offsets are read again.
    """
    points = group(changes.segments) if changes.segments else None
    try:
        async with connection.transaction():
            await _advance(connection, advances)
            await _rows(connection, changes, points)
    except _REFUSED as refused:
        raise RefusedRowsError(f"Postgres refuses it: {refused}") from refused


async def write_again(connection: Any, changes: Changes) -> None:
    """Apply *changes* of records behind the offsets, all of it or nothing, in the caller's transaction.

    The caller has made sure that nobody else writes the partition (see `runstone_ingest.redrive`).

    Raises:
        RefusedRowsError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError: as with `write`.
    """
    points = group(changes.segments) if changes.segments else None
    try:
        async with connection.transaction():
            await _rows(connection, changes, points)
    except _REFUSED as refused:
        raise RefusedRowsError(f"Postgres refuses it: {refused}") from refused


async def _rows(connection: Any, changes: Changes, points: Grouped | None) -> None:
    if points is not None:
        await _points(connection, points)
    await _run_rows(connection, changes)
    await _beside_runs(connection, changes)
    await _catalog(connection, changes)
    await _registry(connection, changes)
    await _verdicts(connection, changes)
    await _dead_letters(connection, changes)
    if changes.marks:
        await connection.execute(_SQL["marks"], _json(map(_mark_row, sorted(changes.marks.items()))))
    if ended := _ended(changes, points):
        await connection.execute(_SQL["rank_metrics"], ended)


async def tell_applied(connection: Any, generation: str) -> None:
    """Wake whoever waits for the read model to reach an offset; only after `write` has returned.

    A statement of its own, because the commit of a transaction that has notified takes a lock that all of
    the server's databases share: within the batch's transaction, workers would commit one after the other.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the connection or the server fails.
    """
    await connection.execute(_SQL["tell_applied"], generation)


async def rank(connection: Any, held: Iterable[tuple[str, int, int]], run_ids: Sequence[str]) -> None:
    """Refresh the searchable copy of the latest values of *run_ids*, which lie in partitions *held*.

    A transaction of its own, so that no batch waits for it; like a batch it first makes sure that the
    partitions, each (topic, partition, epoch), are still ours.

    Raises:
        NotOurPartitionError, OSError, asyncpg.PostgresError: as with `write`.
    """
    topics, partitions, epochs = zip(*sorted(held), strict=True)
    async with connection.transaction():
        ours = await connection.fetch(_SQL["still_ours"], topics, partitions, epochs)
        _check_ours(ours, zip(topics, partitions, strict=True))
        await connection.execute(_SQL["rank_metrics"], sorted(run_ids))


async def rank_again(connection: Any, run_ids: Sequence[str]) -> None:
    """Refresh the searchable copy of *run_ids* in the caller's transaction; as with `write_again`."""
    await connection.execute(_SQL["rank_metrics"], sorted(run_ids))


def _json(rows: Iterable[Any]) -> str:
    return orjson.dumps(list(rows)).decode()


def _check_ours(found: Iterable[Any], asked: Iterable[tuple[str, int]]) -> None:
    lost = set(asked) - {(row[0], row[1]) for row in found}
    if lost:
        names = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(lost))
        raise NotOurPartitionError(f"another worker has taken {names} or moved its offset; read it again")


async def _advance(connection: Any, advances: Sequence[Advance]) -> None:
    ordered = sorted(advances, key=lambda a: (a.topic, a.partition))
    moved = await connection.fetch(
        _SQL["advance"],
        [a.topic for a in ordered],
        [a.partition for a in ordered],
        [a.epoch for a in ordered],
        [a.expected for a in ordered],
        [a.next_offset for a in ordered],
        [a.last_hash for a in ordered],
        [a.tally.records for a in ordered],
        [a.tally.duplicates for a in ordered],
        [a.tally.dead for a in ordered],
    )
    _check_ours(moved, ((a.topic, a.partition) for a in ordered))


async def _points(connection: Any, points: Grouped) -> None:
    await connection.copy_to_table(
        "metric_chunks",
        source=_stream(points),
        columns=chunk_copy.COLUMNS,
        format="binary",
    )
    at = points.latest
    await connection.execute(
        _SQL["latest_metrics"],
        [series.run_id for series in points.series],
        *([series.key[part] for series in points.series] for part in range(4)),
        points.s[at].tolist(),
        points.t[at].tolist(),
        points.v[at].tolist(),
        (points.starts[1:] - points.starts[:-1]).tolist(),
    )


async def _stream(points: Grouped) -> Any:
    for piece in chunk_copy.encode(points):
        yield piece


async def _run_rows(connection: Any, changes: Changes) -> None:
    if changes.written:
        rows = _json(changes.runs[run_id] for run_id in sorted(changes.written))
        await connection.execute(_SQL["runs"], rows)
    touched = sorted(changes.runs.keys() - changes.written)
    if touched:
        offsets = [changes.runs[run_id].last_offset for run_id in touched]
        await connection.execute(_SQL["touch_runs"], touched, offsets)


async def _beside_runs(connection: Any, changes: Changes) -> None:
    if changes.params:
        await _params(connection, changes)
    tags = sorted(changes.tags.items())
    if kept := [{"run_id": r, "key": k, "value": tag.value, "time": tag.time} for (r, k), tag in tags if tag]:
        await connection.execute(_SQL["tags"], _json(kept))
    if gone := [key for key, tag in tags if tag is None]:
        await connection.execute(_SQL["delete_tags"], *map(list, zip(*gone, strict=True)))
    if changes.deleted_artifacts:
        gone = sorted(changes.deleted_artifacts)
        await connection.execute(_SQL["delete_artifacts"], *map(list, zip(*gone, strict=True)))
    if changes.artifacts:
        rows = [{"run_id": key[0], **asdict(a)} for key, a in sorted(changes.artifacts.items())]
        await connection.execute(_SQL["artifacts"], _json(rows))
    if changes.dataset_inputs:
        rows = [{"run_id": key[0], **asdict(d)} for key, d in sorted(changes.dataset_inputs.items())]
        await connection.execute(_SQL["dataset_inputs"], _json(rows))
    if changes.model_inputs:
        rows = [
            {"run_id": r, "model_id": m, "time": time}
            for (r, m), time in sorted(changes.model_inputs.items())
        ]
        await connection.execute(_SQL["model_inputs"], _json(rows))
    if changes.model_outputs:
        rows = [
            {"run_id": r, "model_id": m, "step": step, "time": time}
            for (r, m, step), time in sorted(changes.model_outputs.items())
        ]
        await connection.execute(_SQL["model_outputs"], _json(rows))
    if changes.models:
        models = [changes.models[key] for key in sorted(changes.models)]
        await connection.execute(_SQL["logged_models"], _json(models))
    if changes.model_artifacts:
        rows = [{"stream": key[0], **asdict(a)} for key, a in sorted(changes.model_artifacts.items())]
        await connection.execute(_SQL["model_artifacts"], _json(rows))


async def _params(connection: Any, changes: Changes) -> None:
    said = sorted(changes.params.items(), key=lambda item: item[0])
    first = [
        {"run_id": r, "key": k, "value": values[0].value, "time": values[0].time} for (r, k), values in said
    ]
    made = {(row[0], row[1]) for row in await connection.fetch(_SQL["params"], _json(first))}
    doubtful = [
        {"run_id": r, "key": k, **asdict(value)}
        for (r, k), values in said
        for value in (values[1:] if (r, k) in made else values)
    ]
    if doubtful:
        await connection.execute(_SQL["param_conflicts"], _json(doubtful))


async def _catalog(connection: Any, changes: Changes) -> None:
    if changes.installation is not None:
        made = changes.installation
        await connection.execute(_SQL["installation"], made.installation_id, made.partitions, made.time)
    before = changes.loaded.experiments
    if changed := [row for key, row in sorted(changes.experiments.items()) if row != before.get(key)]:
        await connection.execute(_SQL["experiments"], _json(changed))
    tags = sorted(changes.experiment_tags.items(), key=lambda item: item[0])
    if kept := [{"experiment_id": e, "key": k, "value": v} for (e, k), v in tags if v is not None]:
        await connection.execute(_SQL["experiment_tags"], _json(kept))
    if gone := [key for key, value in tags if value is None]:
        await connection.execute(_SQL["delete_experiment_tags"], *map(list, zip(*gone, strict=True)))


async def _registry(connection: Any, changes: Changes) -> None:
    for old, new, time in changes.moved:
        if new is None:
            await connection.execute(_SQL["delete_registered_model"], old)
        else:
            await connection.execute(_SQL["rename_registered_model"], old, new)
            await connection.execute(_SQL["touch_model_versions"], new, time)
    moved = {name for old, new, _time in changes.moved for name in (old, new)}
    before = {name: row for name, row in changes.loaded.registered_models.items() if name not in moved}
    found = [model for _name, model in sorted(changes.registered_models.items()) if model is not None]
    models = [model for model in found if model != before.get(model.name)]
    if models:
        await _registered_models(connection, models)
        await _model_versions(connection, models, before)
        await _aliases(connection, models)


async def _registered_models(connection: Any, models: Sequence[RegisteredModel]) -> None:
    columns = ("name", "description", "creation_time", "last_update_time", "last_version")
    rows = [{column: getattr(model, column) for column in columns} for model in models]
    await connection.execute(_SQL["registered_models"], _json(rows))
    tags = [(model.name, key, value) for model in models for key, value in sorted(model.tags.items())]
    if kept := [{"name": n, "key": k, "value": value} for n, k, value in tags if value is not None]:
        await connection.execute(_SQL["registered_model_tags"], _json(kept))
    if gone := [(n, k) for n, k, value in tags if value is None]:
        await connection.execute(_SQL["delete_registered_model_tags"], *map(list, zip(*gone, strict=True)))


async def _model_versions(
    connection: Any, models: Sequence[RegisteredModel], before: Mapping[str, RegisteredModel]
) -> None:
    rows = []
    for model in models:
        known = before[model.name].versions if model.name in before else {}
        changed = [row for number, row in sorted(model.versions.items()) if row != known.get(number)]
        rows += [{"name": model.name, **asdict(row)} for row in changed]
    if rows:
        await connection.execute(_SQL["model_versions"], _json(rows))
    tags = [
        (model.name, *key, value) for model in models for key, value in sorted(model.version_tags.items())
    ]
    if kept := [
        {"name": name, "version": version, "key": key, "value": value}
        for name, version, key, value in tags
        if value is not None
    ]:
        await connection.execute(_SQL["model_version_tags"], _json(kept))
    if gone := [tag[:3] for tag in tags if tag[3] is None]:
        await connection.execute(_SQL["delete_model_version_tags"], *map(list, zip(*gone, strict=True)))


async def _aliases(connection: Any, models: Sequence[RegisteredModel]) -> None:
    aliases = [(model.name, alias, at) for model in models for alias, at in sorted(model.aliases.items())]
    if kept := [
        {"name": name, "alias": alias, "version": at} for name, alias, at in aliases if at is not None
    ]:
        await connection.execute(_SQL["registered_model_aliases"], _json(kept))
    if gone := [(name, alias) for name, alias, at in aliases if at is None]:
        await connection.execute(_SQL["delete_registered_model_aliases"], *map(list, zip(*gone, strict=True)))
    if freed := [(model.name, version) for model in models for version in sorted(model.deleted_versions)]:
        await connection.execute(_SQL["delete_aliases_of_versions"], *map(list, zip(*freed, strict=True)))


async def _verdicts(connection: Any, changes: Changes) -> None:
    if not changes.verdicts:
        return
    found = [verdict for _request, verdict in sorted(changes.verdicts.items())]
    rows = [{**asdict(verdict), "accepted": not verdict.code} for verdict in found]
    await connection.execute(_SQL["verdicts"], _json(rows))
    newest = max(verdict.offset for verdict in found)
    await connection.execute(_SQL["prune_verdicts"], newest - VERDICTS_KEPT)


async def _dead_letters(connection: Any, changes: Changes) -> None:
    if changes.dead:
        await connection.executemany(
            _SQL["dead_letter"],
            [
                (
                    *letter.record[:3],
                    letter.reason,
                    letter.address and letter.address.stream,
                    letter.address and letter.address.session,
                    letter.address and letter.address.first_seq,
                    letter.address and letter.address.n,
                    letter.record.key,
                    letter.record.value,
                    letter.record.headers_json(),
                )
                for letter in changes.dead
            ],
        )


def _mark_row(item: tuple[MarkKey, Mark]) -> dict[str, Any]:
    (stream, session), mark = item
    missing = "{" + ",".join(f"[{low},{end})" for low, end in mark.missing) + "}"
    return {**asdict(mark), "stream": stream, "session": session, "missing": missing}


def _ended(changes: Changes, points: Grouped | None) -> list[str]:
    """Runs whose ranking must be right from now on: not running, and something of them changed."""
    changed = set(changes.written)
    if points is not None:
        changed.update(series.run_id for series in points.series)
    return sorted(run_id for run_id in changed if changes.runs[run_id].status not in {"RUNNING", "SCHEDULED"})
