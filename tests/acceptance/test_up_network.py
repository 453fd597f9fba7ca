"""A client on another machine logs through ``runstone up --host … --advertise …``.

The other machine is a network namespace that reaches this one over a virtual cable and does not see the
installation's folder, so artifacts have to travel through the gateway.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fix_up import Start, get

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="a network namespace of one's own needs root, ip (iproute2) and unshare (util-linux)",
)

SCRIPT = """\
import json, sys, time
import runstone
runstone.set_experiment("elsewhere")
with runstone.start_run(run_name="from another machine") as run:
    runstone.log_param("solver", "liblinear")
    for step in range(1000):
        runstone.log_metric("loss", 1 / (step + 1), step=step)
    runstone.log_text("from far away", "notes/note.txt")
print(json.dumps({"run_id": run.run_id, "flushed": runstone.flush(60), "queryable": run.wait_until_queryable(60)}))
"""


@dataclass(frozen=True)
class Neighbour:
    """Another machine: *here* is our address on the cable between us."""

    namespace: str
    here: str

    def run(self, arguments: list[str], hidden: Path, environment: dict[str, str]) -> str:
        """What a program on that machine prints; it finds *hidden* empty."""
        ran = subprocess.run(
            [
                *("ip", "netns", "exec", self.namespace, "unshare", "--mount"),
                *("sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(hidden), *arguments),
            ],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    name = f"runstone-{uuid.uuid4().hex[:6]}"
    cable, far_end = f"rs{name[-6:]}a", f"rs{name[-6:]}b"
    # 198.18.0.0/15 is set aside for tests between machines (RFC 2544)
    net = f"198.18.{int(name[-2:], 16)}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", cable, "type", "veth", "peer", "name", far_end, "netns", name)
        _ip("address", "add", f"{net}.1/30", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", name, "address", "add", f"{net}.2/30", "dev", far_end)
        _ip("-n", name, "link", "set", far_end, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Neighbour(name, f"{net}.1")
    finally:
        _ip("netns", "delete", name)
        subprocess.run(["ip", "link", "delete", cable], check=False, capture_output=True)


def test_a_client_on_another_machine_logs_through_the_advertised_address(
    start_up: Start, neighbour: Neighbour, tmp_path: Path
) -> None:
    up = start_up("--host", "0.0.0.0", "--advertise", neighbour.here, "--insecure")
    up.wait_ready()
    url = f"http://{neighbour.here}:{up.port}"
    said = neighbour.run(
        [sys.executable, "-c", SCRIPT],
        hidden=up.data,
        environment={"RUNSTONE_TRACKING_URI": url, "RUNSTONE_SPOOL": str(tmp_path / "spool")},
    )
    logged = json.loads(said.splitlines()[-1])
    assert (logged["flushed"], logged["queryable"]) == (True, True)
    told = get(f"{url}/api/v1/connect")[1]
    assert told["bootstrap_servers"][0].partition(":")[0] == neighbour.here
    run = get(f"{url}/api/v1/runs/{logged['run_id']}")[1]
    assert (run["experiment_name"], run["status"]) == ("elsewhere", "FINISHED")
    assert run["params"] == {"solver": "liblinear"}
    history = get(f"{url}/api/v1/runs/{logged['run_id']}/metrics/loss")[1]
    assert history["values"] == [1 / (step + 1) for step in range(1000)]
    note = get(f"{url}/api/v1/runs/{logged['run_id']}/artifacts/content?path=notes/note.txt")
    assert note == (200, "from far away")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
