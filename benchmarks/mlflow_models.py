"""``mlflow.sklearn.log_model`` and ``load_model``: a small model, its metrics and files, many requests each.

Most of the time is the client's own: it works out the requirements and writes the model's files. That part is
what the server that does nothing shows.
"""

import argparse
import statistics

from mlflow_servers import in_client, three_servers
from report import report

PROGRAM = """
import json, sys, time, mlflow, mlflow.sklearn
from sklearn.linear_model import LogisticRegression
model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
found = {"log_model": [], "load_model": []}
requirements = ["scikit-learn"]  # given, so that no process is started to find them out
with mlflow.start_run() as run:
    for i in range(10): mlflow.log_metric(f"m{i}", 1.0)
    for i in range(int(sys.argv[1]) + 1):
        began = time.perf_counter()
        made = mlflow.sklearn.log_model(model, name="model", pip_requirements=requirements)
        found["log_model"].append(time.perf_counter() - began)
        began = time.perf_counter()
        mlflow.sklearn.load_model(made.model_uri)
        found["load_model"].append(time.perf_counter() - began)
print(json.dumps({what: times[1:] for what, times in found.items()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20, help="for each server (default: %(default)s)")
    args = parser.parse_args()
    with three_servers("mlflow-models") as servers:
        found = {server: in_client(PROGRAM, url, args.models) for server, url in servers.addresses.items()}
    rows = []
    for what in ("log_model", "load_model"):
        medians = {server: statistics.median(times[what]) for server, times in found.items()}
        rows += [
            {"call": what, "server": server, "calls": args.models, "median ms": median * 1000,
             "max ms": max(found[server][what]) * 1000, "of mlflow's": median / medians["mlflow"],
             "goal": "≤ 1" if server == "runstone" else ""}
            for server, median in medians.items()
        ]  # fmt: skip
    report("mlflow_models", rows)


if __name__ == "__main__":
    main()
