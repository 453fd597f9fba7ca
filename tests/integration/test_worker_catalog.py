"""The catalog decides by its order and says what it decided: real topics, a real read model."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from runstone.events import CATALOG, Event, types
from runstone_ingest import writer
from runstone_ingest.loading import Memory
from runstone_ingest.projector import project
from runstone_ingest.projector.projection import needed
from runstone_ingest.projector.rows import Changes, Experiment, Loaded, Tally, Verdict
from runstone_ingest.records import Admitted
from runstone_store import pool
from runstone_store.migrations import migrate
from tests.fix_worker import working
from tests.publishing import SESSION, Database, asking, envelope
from tests.rows_in_memory import Tables, admitted, pack

RUN = "0a" * 16
MODEL = "m-" + "0c" * 16
OTHER = "0d" * 16

CONTENT = (
    """SELECT experiment_id, name, created_as, creation_time, last_update_time, lifecycle_stage,
              artifact_location FROM experiments""",
    "SELECT experiment_id, key, value FROM experiment_tags",
    "SELECT name, creation_time, last_update_time, description, last_version FROM registered_models",
    "SELECT name, key, value FROM registered_model_tags",
    """SELECT name, version, source, creation_time, last_update_time, run_id, run_link, description, model_id,
              user_name, current_stage, lifecycle_stage, storage_location FROM model_versions""",
    "SELECT name, version, key, value FROM model_version_tags",
    "SELECT name, alias, version FROM registered_model_aliases",
    "SELECT request, code, answer FROM verdicts",
)


async def content(db: Database) -> list[list[tuple[Any, ...]]]:
    return [sorted(await db.rows(query)) for query in CONTENT]


def in_memory(tables: Tables) -> list[list[tuple[Any, ...]]]:
    """What `content` gives where the database holds what *tables* hold."""
    models = tables.loaded.registered_models
    hanging = tables.registry
    experiments = tables.loaded.experiments.values()

    def columns(row: Any, *names: str) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in names)

    found = [
        [columns(row, *row.__slots__) for row in experiments],
        [(*key, value) for key, value in tables.experiment_tags.items()],
        [
            columns(row, "name", "creation_time", "last_update_time", "description", "last_version")
            for row in models.values()
        ],
        [(name, *tag) for name, rows in hanging.items() for tag in rows.tags.items()],
        [(name, *columns(v, *v.__slots__)) for name, row in models.items() for v in row.versions.values()],
        [(name, *key, value) for name, rows in hanging.items() for key, value in rows.version_tags.items()],
        [(name, *alias) for name, rows in hanging.items() for alias in rows.aliases.items()],
        [(request, *said) for request, said in tables.verdicts.items()],
    ]
    return [sorted(rows) for rows in found]


async def test_creations_at_the_same_time_end_in_one_order_and_a_replay_decides_alike(
    kafka, database, empty_database, prefix, publish, db
):
    async def ask(session: str) -> None:
        for n in range(25):
            said: list[Event] = [
                types.ExperimentCreated("one", n, request=f"e-{session[:2]}-{n}"),
                types.RegisteredModelCreated("model", n, request=f"m-{session[:2]}-{n}"),
                types.ModelVersionCreated("model", "runs:/r/m", n, request=f"v-{session[:2]}-{n}"),
                types.RegisteredModelAlias("model", "latest", n + 1, n, f"a-{session[:2]}-{n}"),
            ]
            await publish.publish(envelope(CATALOG, 4 * n, said, session=session))

    async with working(kafka, database, prefix):
        await asyncio.gather(ask(SESSION), ask(OTHER))
        await db.applied(51)
    said = await db.rows("SELECT left(request, 1), accepted, code, answer FROM verdicts")
    assert len(said) == 200
    for kind, answer in (("e", "experiment_id"), ("m", None)):
        assert sorted(row[2] for row in said if row[0] == kind) == [""] + ["exists"] * 49
        assert len({row[3][answer] for row in said if row[0] == kind and answer}) == (1 if answer else 0)
    assert sorted(row[3]["version"] for row in said if row[0] == "v") == list(range(1, 51))
    first = await content(db)
    offsets = await db.rows('SELECT request, "offset" FROM verdicts ORDER BY request')

    await migrate(empty_database)
    async with working(kafka, empty_database, prefix), asking(empty_database) as again:
        await again.applied(51)
        assert await content(again) == first
        assert await again.rows('SELECT request, "offset" FROM verdicts ORDER BY request') == offsets


def some_request(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}" if chance.random() < 0.7 else ""


def some_event(chance: random.Random, time: int) -> Event:
    name, other, word = (chance.choice("abc") for _ in range(3))
    number, stage = chance.randint(1, 4), chance.choice(["None", "Staging", "Production", "Archived"])
    request, tags = some_request(chance), {word: other}
    made: list[Event] = [
        types.ExperimentCreated(name, time, tags, word, request),
        types.ExperimentRenamed(0, name, time, request),
        types.ExperimentDeleted(0, time, request),
        types.ExperimentRestored(0, time, request),
        types.ExperimentTag(0, name, word, time, request),
        types.ExperimentTagDeleted(0, name, time, request),
        types.RegisteredModelCreated(name, time, word, tags, request),
        types.RegisteredModelCreated(name, time, word, {}, request),
        types.RegisteredModelRenamed(name, other, time, request),
        types.RegisteredModelUpdated(name, word, time, request),
        types.RegisteredModelDeleted(name, time, request),
        types.RegisteredModelTag(name, word, other, time, request),
        types.RegisteredModelTagDeleted(name, word, time, request),
        types.RegisteredModelAlias(name, word, number, time, request),
        types.RegisteredModelAlias(name, word, number, time, request),
        types.RegisteredModelAliasDeleted(name, word, time, request),
        *[types.ModelVersionCreated(name, word, time, word, tags=tags, request=request)] * 4,
        types.ModelVersionUpdated(name, number, word, time, request),
        *[types.ModelVersionStaged(name, number, stage, time, chance.random() < 0.5, request)] * 2,
        types.ModelVersionDeleted(name, number, time, request),
        types.ModelVersionTag(name, number, word, other, time, request),
        types.ModelVersionTagDeleted(name, number, word, time, request),
    ]
    return chance.choice(made)


def records(offset: int, said: Sequence[Event]) -> list[Admitted]:
    return [admitted(pack(SESSION, CATALOG, offset + n, [e]), offset + n) for n, e in enumerate(said)]


class Batches:
    """Writes one batch after the other as the worker does, without topics; and into dictionaries as well."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.memory, self.offset = connection, Memory(), 0
        self.tables = Tables()
        self.tables.loaded.experiments[0] = Experiment(0, "Default", "Default", 0, 0)

    async def apply(self, *said: Event) -> None:
        batch = records(self.offset, said)
        self.tables.batch(list(batch))
        changes = project(batch, await self.memory.load(self.connection, needed(batch)))
        end = self.offset + len(batch)
        await writer.write(
            self.connection, [writer.Advance("t", 0, 0, self.offset, end, b"", Tally(len(batch)))], changes
        )
        self.memory.committed(changes)
        self.offset = end


@pytest.fixture
async def batches(database: str, db: Database) -> AsyncIterator[Batches]:
    await db.connection.execute("INSERT INTO ingest_partitions (topic, partition) VALUES ('t', 0)")
    connection = await pool.connect_writer(database, "test")
    await connection.execute("SET search_path TO runstone_g1")
    try:
        yield Batches(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("seed", [0, 8, 24, 29])
async def test_the_database_holds_what_the_rules_say_however_the_catalog_was_batched(batches, db, seed):
    chance = random.Random(seed)
    for _batch in range(40):
        said = [some_event(chance, batches.offset + n) for n in range(chance.randint(1, 12))]
        await batches.apply(*said)
        assert await content(db) == in_memory(batches.tables), said


async def test_a_model_with_versions_may_be_renamed_twice_in_a_batch(batches, db):
    await batches.apply(
        types.RegisteredModelCreated("a", 1),
        types.ModelVersionCreated("a", "s", 2, tags={"k": "v"}),
        types.RegisteredModelAlias("a", "champion", 1, 3),
    )
    await batches.apply(
        types.RegisteredModelRenamed("a", "b", 4),
        types.RegisteredModelRenamed("b", "c", 5),
        types.RegisteredModelCreated("a", 6),
    )
    assert await db.rows("SELECT name, last_update_time FROM runstone.registered_models ORDER BY name") == [
        ("a", 6),
        ("c", 5),
    ]
    assert await db.rows("SELECT name, version, last_update_time FROM runstone.model_versions") == [
        ("c", 1, 5)
    ]
    assert await db.rows("SELECT * FROM runstone.model_version_tags") == [("c", 1, "k", "v")]
    assert await db.rows("SELECT * FROM runstone.registered_model_aliases") == [("c", "champion", 1)]


async def test_verdicts_are_kept_for_ten_thousand_offsets(batches, db):
    for n, offset in enumerate((1, 2, 10_001, 10_001)):
        changes = Changes(Loaded())
        changes.verdicts[f"r{n}"] = Verdict(f"r{n}", offset, "", {})
        advance = writer.Advance("t", 0, 0, n, n + 1, b"", Tally(1))
        await writer.write(batches.connection, [advance], changes)
    assert await db.rows("SELECT request FROM verdicts ORDER BY request") == [("r1",), ("r2",), ("r3",)]


async def test_who_listens_is_told_of_every_commit_once_it_can_be_seen(kafka, database, prefix, publish, db):
    told: asyncio.Queue[str] = asyncio.Queue()
    await db.connection.add_listener("runstone_applied", lambda *said: told.put_nowait(said[3]))
    async with working(kafka, database, prefix):
        async with asyncio.timeout(10):
            assert await told.get() == "runstone_g1"
        await publish.publish(envelope(RUN, 0, [types.Tag("k", "v", 1)]))
        async with asyncio.timeout(10):
            while not await db.rows("SELECT key FROM tags"):
                assert await told.get() == "runstone_g1"
    await db.connection.reset()


async def test_files_of_models_deleted_artifacts_and_stored_fields_arrive(
    kafka, database, prefix, publish, db
):
    def pointer(path: str) -> types.ModelArtifact:
        return types.ModelArtifact(MODEL, path, f"file:///{path}", 3, "0" * 64, "text/plain", 5)

    def artifact(path: str) -> types.Artifact:
        return types.Artifact(path, f"file:///{path}", 3, "0" * 64, "text/plain", 5)

    await publish.publish(
        envelope(MODEL, 0, [types.ModelCreated(MODEL, 0, "model", 1), pointer("MLmodel")]),
        envelope(RUN, 0, [artifact("a/b"), artifact("a/c/d"), artifact("ab"), artifact("z_/a")]),
    )
    async with working(kafka, database, prefix):
        await db.applied(3)
        await publish.publish(
            envelope(
                RUN, 4, [types.ArtifactDeleted("a", 6), types.ArtifactDeleted("zz", 6), artifact("a/c")]
            ),
            envelope(RUN, 7, [types.DatasetInput("d", "1", 7, stored={"profile": "ab" * 32})]),
            envelope(MODEL, 2, [pointer("MLmodel"), pointer("model.pkl")]),
        )
        await db.applied(6)
    assert await db.rows("SELECT path FROM artifacts ORDER BY path") == [("a/c",), ("ab",), ("z_/a",)]
    assert await db.rows("SELECT model_id, path FROM runstone.model_artifacts ORDER BY path") == [
        (MODEL, "MLmodel"),
        (MODEL, "model.pkl"),
    ]
    assert await db.rows("SELECT stored FROM runstone.dataset_inputs") == [({"profile": "ab" * 32},)]
    assert await db.rows("SELECT run_id FROM runs") == [(RUN,)], "a model's own stream is no run"
