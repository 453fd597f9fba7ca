"""What ``import runstone`` costs, beside ``import mlflow``, and what an installation brings in.

Each import is timed inside a new interpreter, files being in the page cache. The distributions are those
that pip would install for ``runstone`` without extras into an empty environment.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from report import report
from stack import MLFLOW_PYTHON, ROOT

TIMED = "import time; a = time.perf_counter(); import {0}; print(time.perf_counter() - a)"


def imported(python: str, what: str, times: int) -> list[float]:
    """Seconds of each import; the first one, which compiles and warms the cache, is not counted."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    timed = [python, "-c", TIMED.format(what)]
    return [
        float(subprocess.run(timed, stdout=subprocess.PIPE, check=True, env=environment).stdout)
        for _ in range(times + 1)
    ][1:]


def brought_in(what: str) -> list[str]:
    """The distributions that pip would install for *what*."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
         "--report", "-", "--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt"), what],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return sorted(found["metadata"]["name"].lower() for found in json.loads(done.stdout)["install"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=21, help="each (default: %(default)s)")
    args = parser.parse_args()
    rows = []
    for what, python, goal in (("runstone", sys.executable, "≤ 60"), ("mlflow", str(MLFLOW_PYTHON), "")):
        seconds = imported(python, what, args.times)
        rows.append({
            "import": what, "median ms": statistics.median(seconds) * 1000, "max ms": max(seconds) * 1000,
            "goal": goal, "distributions": ", ".join(brought_in(str(ROOT))) if goal else "",
        })  # fmt: skip
    report("importing", rows)


if __name__ == "__main__":
    main()
