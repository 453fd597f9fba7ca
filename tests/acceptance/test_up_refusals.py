"""When ``runstone up`` cannot start: one line that says what to do, exit code 1 (2 for a usage error)."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fix_up import Start


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["--host", "0.0.0.0", "--insecure"], "--advertise HOST"),
        (["--advertise", "10.0.0.1"], "--host"),
        (["--port", "70000"], "1 to 65535"),
        (["--kafka", "broker"], "host:port"),
        (["--postgres", "database.example"], "postgresql://user:password@host:port/database"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    start_up: Start, arguments: list[str], advice: str
) -> None:
    up = start_up(*arguments)
    assert up.wait_end() == 2
    assert advice in up.output.splitlines()[-1]


def test_a_setting_of_a_service_is_refused_before_anything_starts(start_up: Start) -> None:
    up = start_up(RUNSTONE_SESSION_LOST_AFTER="soon")
    assert up.wait_end() == 2
    assert "expected a duration such as 24h" in up.output


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--host", "192.0.2.1", "--insecure"], "give an address of this machine"),  # RFC 5737: nobody's
        (["--host", "no.such.host.invalid", "--insecure"], "give an address of this machine"),
    ],
)
def test_an_address_of_another_machine_is_one_line(
    start_up: Start, arguments: list[str], advice: str
) -> None:
    up = start_up(*arguments)
    assert up.wait_end() == 1
    assert advice in up.output
    assert len(up.output.splitlines()) == 1


def test_an_unreachable_broker_is_one_line(start_up: Start) -> None:
    up = start_up("--kafka", "127.0.0.1:1,localhost:2")
    assert up.wait_end() == 1
    assert up.output.startswith("runstone: No Kafka broker can be reached (127.0.0.1:1: connection refused; ")
    assert "--kafka" in up.output
    assert len(up.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("user", "port", "reason"),
    [("nobody:secret", None, "password authentication failed"), ("nobody:secret", 1, "refused")],
)
def test_an_unusable_database_is_one_line_without_its_password(
    start_up: Start, kafka: str, database: str, user: str, port: int | None, reason: str
) -> None:
    where = f"127.0.0.1:{port}/x" if port else database.partition("@")[2]
    up = start_up(
        "--kafka", kafka, "--postgres", f"postgresql://{user}@{where}", RUNSTONE_TOPIC_PREFIX="unused"
    )
    assert up.wait_end() == 1
    assert f"Postgres at {where} cannot be used" in up.output
    assert reason in up.output
    assert len(up.output.splitlines()) == 1
    assert "secret" not in up.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_says_how_much_is_needed(start_up: Start, installation_folder: Path) -> None:
    installation_folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", installation_folder], check=True)
    try:
        up = start_up()
        assert up.wait_end() == 1
    finally:
        subprocess.run(["umount", installation_folder], check=True)
    assert "MB left, and 1074 MB are needed" in up.output
    assert len(up.output.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres under another account")
def test_a_folder_that_the_databases_account_cannot_reach_says_where_to_go(
    start_up: Start, installation_folder: Path
) -> None:
    installation_folder.parent.chmod(0o700)
    up = start_up()
    assert up.wait_end() == 1
    assert "choose a folder below /var/lib" in up.output.splitlines()[-1]
    assert installation_folder.parent.stat().st_mode & 0o777 == 0o700
