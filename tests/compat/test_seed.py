"""The two scripts of Alice and Bob, as their authors wrote them, with nothing set but the server's address."""

import os
import re
import subprocess
from pathlib import Path

import mlflow
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from tests.compat.servers import MLFLOW_PYTHON, Server

SCRIPTS = Path(__file__).parent / "seed"


def ran(script: str, address: str, folder: Path) -> str:
    """What the script printed of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RUNSTONE_"))
    }
    done = subprocess.run(
        [MLFLOW_PYTHON, SCRIPTS / script],
        env=kept | {"MLFLOW_TRACKING_URI": address},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "something was logged beside the server"
    found = re.search(r"(\w+)'s run logged\. Accuracy: ([\d.]+)", done.stdout)
    assert found, done.stdout
    return found[2]


def test_the_scripts_run_unmodified_and_their_models_load(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    data = make_classification(n_samples=1000, n_features=20, random_state=42)
    _, inputs, _, expected = train_test_split(*data, test_size=0.2, random_state=42)
    seen = []
    for server in servers:
        mlflow.set_tracking_uri(server.url)
        folder = tmp_path / server.name
        folder.mkdir()
        said = {script: ran(script, server.url, folder) for script in ("alice.py", "bob.py")}
        newest_first = mlflow.search_runs(experiment_names=["Default"], max_results=2)
        names = ["Bob's Hyperparameter Tune", "Alice's Initial Run"]
        assert list(newest_first["tags.mlflow.runName"]) == names
        assert [f"{accuracy:.4f}" for accuracy in newest_first["metrics.accuracy"]] == [
            said["bob.py"],
            said["alice.py"],
        ]
        for _, run in newest_first.iterrows():
            model = mlflow.sklearn.load_model(f"runs:/{run.run_id}/model")
            assert model.score(inputs, expected) == run["metrics.accuracy"]
        compared = newest_first[
            [c for c in newest_first.columns if c.startswith(("params.", "metrics.", "status"))]
        ]
        seen.append(compared.to_dict("records"))
    mlflow.set_tracking_uri(None)
    assert seen[0] == seen[1]
    assert (seen[1][0]["params.C"], seen[1][1]["params.C"]) == ("0.5", "0.1")
