"""``make demo``: the whole stack, two people's runs, and both side by side.

Starts ``runstone up`` in a folder of its own (or in RUNSTONE_DATA), runs alice.py and bob.py against it,
waits until both runs can be queried with their models, prints the comparison and keeps serving until
Ctrl-C. With DEMO_EXIT=1 it stops after the table with exit code 0. DEMO_PORT names another port than 5000.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PORT = os.environ.get("DEMO_PORT", "5000")
ADDRESS = f"http://127.0.0.1:{PORT}"
# as root, Postgres runs as a service user, which cannot look into everybody's folders
OWN = Path("/var/lib/runstone/demo") if os.geteuid() == 0 else HERE.parent / ".demo"
DATA = Path(os.environ.get("RUNSTONE_DATA") or OWN)
RUNSTONE = [sys.executable, "-m", "runstone.cli"]
DEADLINE = 120
"""Seconds for the runs to arrive."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: the stack is stopped
    started_ms = int(time.time() * 1000)
    # a session of its own: Ctrl-C is for this script, which stops the stack in order
    stack = subprocess.Popen(
        [*RUNSTONE, "up", "--data", str(DATA), "--port", PORT],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if not relay_until_ready(stack):
            return stack.wait() or 1
        environment = os.environ | {
            "RUNSTONE_TRACKING_URI": ADDRESS,
            "RUNSTONE_SPOOL": str(DATA / "spool"),
        }
        for script in ("alice.py", "bob.py"):
            print(f"\n$ python examples/{script}", flush=True)
            subprocess.run([sys.executable, HERE / script], env=environment, check=True)
        runs = wait_until_queryable(started_ms)
        print(f"\n$ runstone runs compare {' '.join(runs)}\n", flush=True)
        subprocess.run([*RUNSTONE, "runs", "compare", *runs], env=environment, check=True)
        if os.environ.get("DEMO_EXIT"):
            return 0
        print(f"\nThe API is at {ADDRESS}/api/v1 (described by {ADDRESS}/api/v1/openapi.json); for example:")
        print(f"  curl -s {ADDRESS}/api/v1/runs/{runs[0]}")
        print(f"Log to it from anywhere on this machine: RUNSTONE_TRACKING_URI={ADDRESS}")
        print("Serving until Ctrl-C.", flush=True)
        return wait_for_the_end(stack)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        return 0
    finally:
        stop(stack)


def relay_until_ready(stack: "subprocess.Popen[str]") -> bool:
    """Print what the stack says until its last line of starting; False when it ends before."""
    assert stack.stdout is not None
    for line in stack.stdout:
        print(line, end="", flush=True)
        if "the data is in" in line:
            threading.Thread(target=relay_rest, args=(stack,)).start()
            return True
    return False


def relay_rest(stack: "subprocess.Popen[str]") -> None:
    """Print what the stack says until it ends: a part that died, and that it stopped."""
    assert stack.stdout is not None
    for line in stack.stdout:
        print(line, end="", flush=True)


def wait_until_queryable(started_ms: int) -> list[str]:
    """The ids of the two runs, Alice's first, once the ledger has all of them: metrics, models, and that the
    scripts' processes are gone, which is the last thing that the sender says.
    """
    deadline = time.monotonic() + DEADLINE
    query = {"experiment_names": ["Churn Prediction"], "filter": f"start_time >= {started_ms}"}
    while time.monotonic() < deadline:
        runs = ask("POST", "/api/v1/runs/search", query)["runs"]
        if len(runs) == 2 and all(map(has_all, runs)):
            return [r["run_id"] for r in sorted(runs, key=lambda r: int(r["start_time"]))]
        time.sleep(0.1)
    sys.exit("demo: the two runs did not arrive; see 'runstone status' and the sender's log that it names")


def has_all(run: dict[str, Any]) -> bool:
    """Whether the run has ended, its model can be fetched and its process is known to be gone."""
    files = ask("GET", f"/api/v1/runs/{run['run_id']}/artifacts?path=model")["artifacts"]
    gone = any(session["ended"] for session in run["completeness"]["sessions"])
    return run["status"] == "FINISHED" and bool(files) and gone


def ask(method: str, path: str, body: object = None) -> dict[str, list[dict[str, Any]]]:
    """The JSON that the API answers."""
    request = urllib.request.Request(
        ADDRESS + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, list[dict[str, Any]]] = json.load(answer)
        return found


def wait_for_the_end(stack: "subprocess.Popen[str]") -> int:
    """The exit code of the stack. In short waits: a signal that comes just before a wait without an end is
    lost in it, and with it a Ctrl-C.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return stack.wait(1)


def stop(stack: "subprocess.Popen[str]") -> None:
    """End the stack in order; its parts end with it."""
    if stack.poll() is None:
        stack.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            stack.wait(60)


if __name__ == "__main__":
    sys.exit(main())
