"""What the sender costs: idle, with a backlog, and after its broker has stood still.

- idle: share of a core and resident memory over 30 s, with one session and with a hundred that are alive and
  silent, connected to Kafka all the while;
- backlog: points per second from the sender's start until all is acknowledged and every session has its end,
  and the peak of its resident memory, for one large session and for many small ones;
- stopped broker: Kafka gets SIGSTOP for a minute while points are logged; seconds from SIGCONT until all of
  them are acknowledged.

MLflow's client has no sender; there is nothing to be compared with.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import report
from stack import RUNSTONE, folder, free_port, remove, runstone_stack

from runstone.events.identity import new_run_id
from runstone.events.types import RunStarted
from runstone.spool.launch import SETTINGS
from runstone.spool.layout import this_machine
from runstone.spool.session import Session

MB = 1_000_000
TICK = os.sysconf("SC_CLK_TCK")


def begin(spool: Path, uri: str) -> tuple[Session, object]:
    """A session of this process with a run begun in it."""
    session = Session(spool, uri, limit=8 << 30, offline=True)
    stream = session.writer.stream(new_run_id())
    session.writer.event(stream, RunStarted(0, "Default", "benchmark", time.time_ns() // 1_000_000))
    return session, stream


def fill(spool: Path, uri: str, sessions: int, points: int) -> None:
    """What *sessions* processes left that nobody delivered."""
    for _ in range(sessions):
        session, stream = begin(spool, uri)
        for step in range(points):
            session.writer.point(stream, "loss" if step & 1 else "accuracy", step / 7, step)
        session.forget()


class Sender:
    """A sender in the foreground, and what the system knows of it."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runstone.sender", "--foreground", "--spool", str(spool)],
            env=SETTINGS | os.environ,  # as clients start it
        )

    def wait(self) -> None:
        """Until it works."""
        while not this_machine(self.spool).sender_json.exists():
            time.sleep(0.02)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, which: str) -> int:
        """Bytes of resident memory: VmRSS now, VmHWM at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))

    def acknowledged(self) -> int:
        """How many sessions have got their end into the ledger."""
        sessions = this_machine(self.spool).sessions
        return sum(
            (path / "ended").is_dir() and any((path / "ended").iterdir()) for path in sessions.iterdir()
        )

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(30)


def idle(uri: str, sessions: int, seconds: float) -> dict[str, object]:
    """A row of the idle table."""
    spool = Path(tempfile.mkdtemp(prefix="runstone-bench-spool-"))
    kept = [begin(spool, uri) for _ in range(sessions)]
    sender = Sender(spool)
    time.sleep(5)
    before, began = sender.cpu(), time.monotonic()
    time.sleep(seconds)
    share = (sender.cpu() - before) / (time.monotonic() - began)
    found: dict[str, object] = {
        "idle sessions": len(kept), "% of a core": 100 * share, "RSS MB": sender.memory("VmRSS") / MB,
    }  # fmt: skip
    sender.end()
    for session, _stream in kept:
        session.forget()
    shutil.rmtree(spool)
    return found


def backlog(uri: str, sessions: int, points: int) -> dict[str, object]:
    """A row of the backlog table."""
    spool = Path(tempfile.mkdtemp(prefix="runstone-bench-spool-"))
    fill(spool, uri, sessions, points)
    began = time.monotonic()
    sender = Sender(spool)
    sender.wait()
    while sender.acknowledged() < sessions:
        time.sleep(0.1)
    seconds = time.monotonic() - began
    found: dict[str, object] = {
        "sessions": sessions,
        "points": sessions * points,
        "points per s": sessions * points / seconds,
        "CPU µs a point": sender.cpu() / sessions / points * 1e6,
        "peak RSS MB": sender.memory("VmHWM") / MB,
    }
    sender.end()
    shutil.rmtree(spool)
    return found


def stopped_broker(uri: str, data: Path, seconds: float) -> dict[str, object]:
    """The row of the stopped broker."""
    said = subprocess.run(
        [*RUNSTONE, "status", "--json", "--data", data], stdout=subprocess.PIPE, check=False
    )
    kafka = next(part["pid"] for part in json.loads(said.stdout)["parts"] if part["name"] == "kafka")
    spool = Path(tempfile.mkdtemp(prefix="runstone-bench-spool-"))
    session, stream = begin(spool, uri)
    sender = Sender(spool)
    sender.wait()

    def arrived(patience: float) -> float:
        began = time.monotonic()
        if not session.wait_acknowledged(began + patience, ()):
            sys.exit("benchmark: the points did not arrive")
        return time.monotonic() - began

    arrived(60)
    os.kill(kafka, signal.SIGSTOP)
    end = time.monotonic() + seconds
    points = 0
    while time.monotonic() < end:
        session.writer.point(stream, "loss", 1.0, points)
        points += 1
        time.sleep(0.01)
    os.kill(kafka, signal.SIGCONT)
    found: dict[str, object] = {"broker stopped s": seconds, "points": points, "healed after s": arrived(120)}
    sender.end()
    session.forget()
    shutil.rmtree(spool)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of idling; 0: none")
    parser.add_argument("--points", type=int, default=5_000_000, help="of each backlog; 0: none")
    args = parser.parse_args()
    data = folder("sender")
    port = free_port()
    with runstone_stack(data / "up", port):
        uri = f"http://127.0.0.1:{port}"
        if args.seconds:
            report("sender_idle", [idle(uri, sessions, args.seconds) for sessions in (1, 100)])
        if args.points:
            rows = [backlog(uri, sessions, args.points // sessions) for sessions in (1, 100, 2000)]
            report("sender_backlog", rows)
        report("sender_stopped_broker", [stopped_broker(uri, data / "up", 60)])
    remove(data)


if __name__ == "__main__":
    main()
