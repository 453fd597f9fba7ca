"""``runstone up``: one command, one folder, one address; and what it leaves behind however it ends."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import asyncpg
import pytest

from runstone_local import probe
from runstone_local.layout import DataFolder
from runstone_local.process_identity import started
from tests.fix_up import Start, Up, get, starts_of, wait_gone, wait_until

PARTS = ["kafka", "postgres", "worker", "gateway", "api"]


def test_a_new_folder_serves_behind_one_address(up: Up) -> None:
    assert get(f"{up.url}/health")[0] == 200
    assert get(f"{up.url}/ready")[0] == 200
    status, told = get(f"{up.url}/api/v1/connect")
    assert status == 200
    assert told["web_url"] == up.url
    assert told["artifact_root"].endswith(str(up.data / "artifacts"))
    (server,) = told["bootstrap_servers"]
    host, port = server.split(":")
    assert asyncio.run(probe.kafka(host, int(port)))


def test_every_part_says_when_it_is_ready_and_the_last_lines_say_how_to_go_on(up: Up) -> None:
    for part in PARTS:
        up.wait_for_line(rf"^runstone up: {part} +ready .*\([\d.]+ s\)$")
    up.wait_for_line(rf"^runstone up: ready after [\d.]+ s at {up.url}$")
    up.wait_for_line(rf"^runstone up: the data is in {up.data}; Ctrl-C \(or: kill {up.process.pid}\) stops")


def test_the_status_names_all_parts_with_pid_address_and_health(up: Up) -> None:
    def well() -> bool:
        return all(part["health"] == "ok" for part in up.status()["parts"])

    wait_until(well, "every part is well")
    found = up.status()
    assert [part["name"] for part in found["parts"]] == PARTS
    assert {part["name"]: part["pid"] for part in found["parts"]} == up.pids()
    addresses = {part["name"]: part["address"] for part in found["parts"]}
    assert addresses["gateway"] == up.url
    assert addresses["worker"] is None
    assert found["lag_records"] == 0
    assert found["spool_bytes"] >= 0


def test_nothing_listens_to_other_machines_by_default(up: Up) -> None:
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add((fields[1].partition(":")[0], int(fields[1].partition(":")[2], 16)))
    ports = {up.port, *_ports(up)}
    hosts = {host for host, port in listening if port in ports}
    # 127.0.0.1 as the kernel prints it, alone and within IPv6 (Java's)
    assert hosts <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert {port for _, port in listening} >= ports


async def test_the_database_asks_for_a_password_that_only_its_owner_can_read(up: Up) -> None:
    data = DataFolder(up.data)
    address = next(part["address"] for part in up.status()["parts"] if part["name"] == "postgres")
    assert data.postgres_password.stat().st_mode & 0o077 == 0
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://runstone:wrong@{address}/runstone")
    dsn = f"postgresql://runstone:{data.postgres_password.read_text()}@{address}/runstone"
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM runstone_meta.live") == 1
    await connection.close()


def test_a_folder_in_use_and_a_busy_port_say_what_to_do(up: Up, start_up: Start, tmp_path: Path) -> None:
    second = Up(up.data, [], {})
    assert second.wait_end() == 1
    assert f"in use by process {up.process.pid} (since " in second.output
    assert "--data" in second.output
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy = other.getsockname()[1]
        third = start_up("--port", str(busy))
        assert third.wait_end() == 1
    assert f"Port {busy} of 127.0.0.1 is taken" in third.output
    assert len(third.output.splitlines()) == 1


def test_a_part_that_dies_is_started_again_and_said_so(up: Up) -> None:
    before = up.pids()
    for part in ("worker", "api", "postgres", "kafka"):
        os.kill(before[part], signal.SIGKILL)
        up.wait_for_line(rf"^runstone up: {part} was ended by SIGKILL; starting it again in [\d.]+ s")
        up.wait_for_line(rf"^runstone up: {part} is ready again")
    wait_until(lambda: get(f"{up.url}/ready")[0] == 200, "everything is ready again")
    after = up.pids()
    assert {part for part in PARTS if before[part] != after[part]} == {"worker", "api", "postgres", "kafka"}


def test_sigterm_stops_everything_in_order_and_the_next_start_finds_the_same_installation(
    start_up: Start,
) -> None:
    first = start_up()
    first.wait_ready()
    _, told = get(f"{first.url}/api/v1/connect")
    pids = first.pids()
    starts = starts_of(pids)
    assert len(pids) == 5
    assert first.stop() == 0
    assert {name for name, pid in pids.items() if started(pid) == starts[name]} == set()
    assert not DataFolder(first.data).state.exists()
    assert first.output.splitlines()[-2:] == ["runstone up: stopping", "runstone up: stopped"]
    second = start_up()
    second.wait_ready()
    _, again = get(f"{second.url}/api/v1/connect")
    assert (again["installation_id"], again["bootstrap_servers"]) == (
        told["installation_id"],
        told["bootstrap_servers"],
    )


def test_kill_9_leaves_no_child_and_a_folder_that_the_next_up_recovers(start_up: Start) -> None:
    first = start_up()
    first.wait_ready()
    _, told = get(f"{first.url}/api/v1/connect")
    pids = first.pids()
    starts = starts_of(pids)
    stuck = {"api": pids.pop("api")}
    os.kill(stuck["api"], signal.SIGSTOP)  # hears no signal but SIGKILL and SIGCONT
    first.process.kill()
    first.wait_end()
    wait_gone(pids, starts)
    second = start_up()
    second.wait_ready()
    wait_gone(stuck, starts)
    assert "ended what a killed 'runstone up' had left running: api" in second.output
    assert get(f"{second.url}/api/v1/connect")[1]["installation_id"] == told["installation_id"]


def test_ctrl_c_while_it_is_starting_stops_what_was_started(start_up: Start) -> None:
    up = start_up()
    up.wait_for_line("^runstone up: (postgres|kafka) +ready")
    pids = up.pids()
    starts = starts_of(pids)
    up.process.send_signal(signal.SIGINT)
    assert up.wait_end() == 0
    wait_gone(pids, starts)


def _ports(up: Up) -> list[int]:
    import json

    return list(json.loads(DataFolder(up.data).ports.read_text()).values())
