"""A training program under whose spool each system call fails in turn; run as a process of its own.

``python -m tests.spool_fault_program FOLDER once|onwards mapped|written STEP ERRNO…`` runs the program once per
STEP-th call and error, each time in a forked child with a fresh spool, and checks what is left with the parser of
docs/spool.md: nothing was raised, no record is wrong, and what is missing is declared. It prints what is not so.
"""

import builtins
import errno
import fcntl
import io
import json
import mmap
import os
import shutil
import sys
import threading
import traceback
from pathlib import Path

import runstone
from runstone import context, lifetime, notices
from runstone.spool import session as session_module
from tests.spool_contents import EVENT
from tests.spool_recovery import recover_segment, refused_ranges

PATCHED = (
    *((os, name) for name in (
        "open", "mkdir", "posix_fallocate", "pwrite", "write", "rename", "link", "mkfifo", "stat", "scandir",
        "listdir", "ftruncate", "unlink", "statvfs",
    )),
    (io, "open"), (builtins, "open"), (fcntl, "flock"), (mmap, "mmap"),
)  # fmt: skip
SEGMENT_SIZE = 16384


class Faults:
    """Lets the *at*-th call of the main thread fail, and with *onwards* every later one."""

    def __init__(self, at: int, number: int, *, onwards: bool) -> None:
        self.at, self.number, self.onwards = at, number, onwards
        self.calls = 0
        self.on = True
        for module, name in PATCHED:
            setattr(module, name, self._wrapped(getattr(module, name)))

    def _wrapped(self, real):
        main = threading.main_thread()

        def call(*arguments, **named):
            if self.on and threading.current_thread() is main:
                self.calls += 1
                if self.calls == self.at or (self.onwards and self.calls > self.at):
                    raise OSError(self.number, os.strerror(self.number))
            return real(*arguments, **named)

        return call


def train(spool: Path, faults: Faults, points: int) -> dict:
    """The program; what it gave its spool to keep."""
    client = runstone.Client("http://127.0.0.1:9", spool=spool)
    run = client.start_run()
    lifetime.slow_facts.finish(30)
    run.log_param("lr", 0.1)
    for i in range(points):
        run.log_metric("loss", i / 3, step=i)
    run.log_series("s", [1.0, 2.0], steps=[1, 2])
    run.set_tag("t", "v")
    run.log_text("x", "a.txt")
    run.end()
    client.flush(0)
    [session] = lifetime._sessions.values()
    session.finish()
    faults.on = False
    return {
        "dead": session.writer.dead,
        "begun": session.folder is not None,
        "seqs": {stream.name: stream.next_seq for stream in session.writer._streams.values()},
    }


def check(spool: Path, told: dict, *, strict: bool) -> str:
    """What is wrong with what the program left; empty where nothing is."""
    segments = sorted(spool.glob("*/sessions/*/*.seg"))
    taken: dict[str, list[int]] = {name: [] for name in told["seqs"]}
    for path in segments:
        found = recover_segment(path)
        if found.damaged:
            return f"{path.name} is damaged"
        for record in found.records:
            taken[record.stream].append(record.seq)
            if record.kind == EVENT and record.data["type"] == "range_declared":
                first = record.data["first_seq"]
                taken[record.stream] += range(first, first + record.data["count"])
            if record.key == "loss" and record.data[1] != record.data[0] / 3:
                return f"a wrong record: {record}"
    for path in spool.glob("*/sessions/*/refused"):
        for name, first, n in refused_ranges(path):
            if first >= len(taken[name]):
                taken[name] += range(first, first + n)
    for name, seqs in taken.items():
        if len(set(seqs)) != len(seqs):
            return f"{name} has a seq twice"
        if strict and told["begun"] and sorted(seqs) != list(range(told["seqs"][name])):
            missing = sorted(set(range(told["seqs"][name])) - set(seqs))
            return f"{len(missing)} records of {name} from {missing[:1]} are missing and not declared"
    return ""


def attempt(folder: Path, at: int, number: int, points: int, *, onwards: bool) -> tuple[str, int]:
    """Run and check once; what is wrong, and how many calls there were."""
    spool, note = folder / "spool", folder / "told.json"
    shutil.rmtree(spool, ignore_errors=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            said: list[str] = []
            notices.say = said.append
            faults = Faults(at, number, onwards=onwards)
            told = train(spool, faults, points)
            note.write_text(json.dumps(told | {"calls": faults.calls, "said": said}))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        return f"the program ended with {status}", 0
    told = json.loads(note.read_text())
    wrong = check(spool, told, strict=not onwards and not told["dead"])
    warnings = [line for line in told["said"] if "warning" in line and "artifact" not in line]
    if len(warnings) > 1:
        wrong = wrong or f"more than one warning: {warnings}"
    if (told["dead"] or not told["begun"]) and not any(str(spool) in line for line in warnings):
        wrong = wrong or "nothing was logged and nobody was told"
    return wrong, told["calls"]


def main() -> None:
    os.environ |= {"RUNSTONE_OFFLINE": "1", "RUNSTONE_QUIET": "1"}
    folder, onwards = Path(sys.argv[1]), sys.argv[2] == "onwards"
    context.slow_context = dict  # of no interest here, and it asks git
    session_module.FIRST_SIZE, session_module.GROWTH = SEGMENT_SIZE, 1
    points = 1200
    if sys.argv[3] == "written":  # a call per point
        session_module.allocation_binds = lambda _folder: False
        session_module.FIRST_SIZE, points = SEGMENT_SIZE // 2, 120
    wrong, calls = attempt(folder, 0, 0, points, onwards=False)
    if wrong or not calls:
        sys.exit(f"without a fault: {wrong or 'nothing was called'}")
    step = int(sys.argv[4])
    for i, name in enumerate(sys.argv[5:]):
        for at in range(1 + i, calls + 1, step):
            wrong, _calls = attempt(folder, at, getattr(errno, name), points, onwards=onwards)
            if wrong:
                print(f"{name} at call {at} of {calls}: {wrong}")
    print(f"{calls} calls", file=sys.stderr)


if __name__ == "__main__":
    main()
