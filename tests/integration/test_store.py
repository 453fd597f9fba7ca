"""Migrations lead to schema.sql, run once whoever runs them, and leave a role that can only read."""

import argparse
import asyncio
import socket
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop

import runstone_store
from runstone_store import command, generations, migrations, pool
from runstone_store.exceptions import NotMigratedError
from runstone_store.migrations import runner

CATALOG = """
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           a.attnotnull::text || a.attcompression::text, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
  UNION ALL
    SELECT 'order', c.relname, a.attname, a.attnum::text, '', ''
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND a.attnum > 0 AND c.relkind = 'r'
  UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
    FROM pg_constraint WHERE connamespace = $1::regnamespace AND contype <> 'n'
  UNION ALL
    SELECT 'index', tablename, indexname, replace(indexdef, $1 || '.', ''), '', ''
    FROM pg_indexes WHERE schemaname = $1
  UNION ALL
    SELECT 'view', viewname, replace(definition, $1 || '.', ''), '', '', ''
    FROM pg_views WHERE schemaname = $1
  UNION ALL
    SELECT 'options', c.relname, coalesce(c.reloptions::text, ''), coalesce(t.reloptions::text, ''), c.relkind::text, ''
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE n.nspname = $1
"""


async def _catalog(connection: Any, schema: str) -> set[tuple[Any, ...]]:
    await connection.execute(f"SET search_path TO {schema}")
    return {tuple(row) for row in await connection.fetch(CATALOG, schema)}


async def test_the_migrations_lead_to_exactly_schema_sql(database: str):
    connection = await asyncpg.connect(database)
    try:
        text = Path(runstone_store.__file__).with_name("schema.sql").read_text()
        await connection.execute("CREATE SCHEMA stated; SET search_path TO stated;" + text)
        stated = await _catalog(connection, "stated")
        assert len(stated) > 200
        assert await _catalog(connection, generations.FIRST) == stated
    finally:
        await connection.close()


async def test_migrating_again_or_at_the_same_time_changes_nothing(empty_database: str):
    done = await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(3)))
    applied = [line for lines in done for line in lines if line.startswith("applied")]
    assert applied == [
        "applied runstone_meta: 0001_generations",
        "applied runstone_meta: 0002_heard",
        "applied runstone_meta: 0003_generation_states",
        "applied runstone_g1: 0001_read_model",
        "applied runstone_g1: 0002_registry_and_verdicts",
        "applied runstone_g1: 0003_last_heard",
        "applied runstone_g1: 0004_halts",
        "applied runstone_g1: 0005_merged_chunks",
    ]
    assert await migrations.migrate(empty_database) == []


async def test_the_printed_sql_makes_the_same_database(empty_database: str):
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute(migrations.script())
        assert await migrations.migrate(empty_database) == []
        assert await generations.live(connection) == generations.FIRST
    finally:
        await connection.close()


async def test_a_database_that_was_not_migrated_says_what_to_do(empty_database: str):
    connection = await asyncpg.connect(empty_database)
    try:
        with pytest.raises(NotMigratedError, match="run 'runstone migrate'"):
            await generations.live(connection)
    finally:
        await connection.close()


async def test_readers_see_the_views_and_cannot_write(database: str):
    readers = await pool.open_readers(database, "test", 1)
    try:
        for _turn in range(2):  # the second time after the pool has had the connection back
            async with readers.acquire() as connection:
                assert await connection.fetchval("SELECT current_user") == "runstone_reader"
                assert await connection.fetchval("SELECT name FROM runstone.experiments") == "Default"
                assert await connection.fetchval("SELECT '{\"a\": 1}'::jsonb") == {"a": 1}
                with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                    await connection.execute("DELETE FROM runstone_g1.runs")
                await connection.execute("SET default_transaction_read_only = off")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("DELETE FROM runstone_g1.runs")
                await connection.execute("RESET default_transaction_read_only")
    finally:
        await readers.close()


async def test_every_view_is_commented_and_can_be_pointed_at_another_generation(database: str):
    connection = await asyncpg.connect(database)
    try:
        without = await connection.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'runstone'::regnamespace "
            "AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NULL"
        )
        assert without == []
        text = Path(runstone_store.__file__).with_name("schema.sql").read_text()
        await connection.execute("CREATE SCHEMA runstone_g2; SET search_path TO runstone_g2;" + text)
        await connection.execute("UPDATE experiments SET name = 'Second'")
        async with connection.transaction():
            await connection.execute(runner.views("runstone_g2"))
        assert await connection.fetchval("SELECT name FROM runstone.experiments") == "Second"
    finally:
        await connection.close()


async def test_a_user_that_may_not_create_roles_still_gets_a_read_model(empty_database: str):
    connection = await asyncpg.connect(empty_database)
    name = f"plain_{empty_database.rpartition('_')[2].partition('?')[0]}"
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD 'x'; GRANT CREATE ON DATABASE {database} TO {name}"
    )
    try:
        await connection.execute(f"SET ROLE {name}")
        note = await runner.roles.grant(connection, [])
        assert len(note) == 1
        assert "RUNSTONE_READ_DSN" in note[0]
    finally:
        await connection.execute(
            f"RESET ROLE; REVOKE CREATE ON DATABASE {database} FROM {name}; DROP ROLE {name}"
        )
        await connection.close()


def test_the_command_says_what_it_did(empty_database: str, monkeypatch, capsys):
    monkeypatch.setenv("RUNSTONE_POSTGRES_DSN", empty_database)
    assert command.run(argparse.Namespace(print_sql=False)) == 0
    assert command.run(argparse.Namespace(print_sql=False)) == 0
    out = capsys.readouterr().out
    assert "applied runstone_g1: 0001_read_model" in out
    assert "nothing to do" in out
    monkeypatch.setenv("RUNSTONE_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/none")
    assert command.run(argparse.Namespace(print_sql=False)) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_notices_that_the_servers_machine_is_gone(database: str, new_loop: Any):
    async def probing(connection: Any) -> tuple[int, int]:
        found = connection._transport.get_extra_info("socket")
        return (
            found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        )

    async def ask() -> list[tuple[int, int]]:
        writer = await pool.connect_writer(database, "test")
        readers = await pool.open_readers(database, "test", 1)
        async with readers.acquire() as reader:
            found = [await probing(writer), await probing(reader)]
        await readers.close()
        await writer.close()
        return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(ask()) == [(1, 10), (1, 10)]
