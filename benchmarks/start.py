"""How long until the first request is answered: ``runstone up`` and ``mlflow server``.

Each of the rounds starts Runstone in a new folder, stops it, starts it again in the same folder, and starts
MLflow's server twice in the same way. Everything is downloaded before (``make setup``).
"""

import argparse
import statistics

from report import report
from stack import folder, free_port, mlflow_server, remove, runstone_stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for server, start in (("runstone up", runstone_stack), ("mlflow server", mlflow_server)):
            data, port = folder("start"), free_port()
            for state in ("new folder", "existing folder"):
                with start(data, port) as took:
                    seconds.setdefault((server, state), []).append(took)
                    print(f"round {number + 1}: {server}, {state}: {took:.2f} s", flush=True)
            remove(data)
    report(
        "start",
        [
            {
                "server": server,
                "folder": state,
                "min s": min(s),
                "median s": statistics.median(s),
                "max s": max(s),
            }
            for (server, state), s in seconds.items()
        ],
    )


if __name__ == "__main__":
    main()
