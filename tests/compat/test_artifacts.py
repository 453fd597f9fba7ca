"""Files of runs: stored, listed, downloaded, deleted, through the client and by plain requests."""

import hashlib
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from PIL import Image

from tests.compat.differential import On, differential

ABSENT = "0" * 32


def listed(on: On, run: str, path: str | None = None) -> None:
    """Write down the listing; each store has an order of its own."""
    found = on.client.list_artifacts(run, path)
    on.note(f"listing of {path}", sorted((item.path, item.is_dir, item.file_size) for item in found))


def digests(folder: str) -> list[tuple[str, str]]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted((str(f.relative_to(folder)), hashlib.sha256(f.read_bytes()).hexdigest()) for f in files)


@differential
def test_files_come_back_as_they_went(on: On) -> None:
    run = on.run(start_time=1)
    made = on.folder / "made"
    (made / "sub" / "deep").mkdir(parents=True)
    (made / "empty").write_bytes(b"")
    (made / "ünï ✓ %41 #?&=+.txt").write_text("odd name")
    (made / "sub" / "bytes.bin").write_bytes(bytes(range(256)) * 1000)
    (made / "sub" / "deep" / "text.txt").write_text("deep\n")
    on.see(on.client.log_artifacts, run, str(made))
    on.see(on.client.log_artifacts, run, str(made / "sub"), "again/here")
    on.see(on.client.log_artifact, run, str(made / "sub" / "bytes.bin"))
    on.see(on.client.log_artifact, run, str(made / "empty"), "one/two")
    on.see(on.client.log_artifact, run, str(made / "sub"), "folder")
    for path in (
        None,
        "",
        "sub",
        "sub/",
        "again",
        "again/here",
        "one/two",
        "folder",
        "nowhere",
        "empty",
        "sub/bytes.bin",
    ):
        listed(on, run, path)
    for path in ("", "sub", "empty", "sub/bytes.bin", "ünï ✓ %41 #?&=+.txt", "nowhere", "nowhere/at all"):
        got = on.see(on.client.download_artifacts, run, path)
        if got and Path(got).is_dir():
            on.note("downloaded", digests(got))
        elif got:
            on.note("downloaded", hashlib.sha256(Path(got).read_bytes()).hexdigest())
    (made / "empty").write_text("not any more")
    on.see(on.client.log_artifact, run, str(made / "empty"))
    on.note("overwritten", Path(on.client.download_artifacts(run, "empty")).read_text())
    on.see(on.client.log_artifact, run, str(made / "absent"))
    on.see(on.client.log_artifact, ABSENT, str(made / "empty"))
    on.see(on.client.list_artifacts, ABSENT)


@differential
def test_paths_that_lead_elsewhere_are_refused(on: On) -> None:
    run = on.run(start_time=1)
    file = on.folder / "file"
    file.write_text("x")
    for path in (
        "..",
        "../x",
        "a/../../b",
        "/etc",
        "a/../b",
        "%2e%2e",
        "%252e%252e",
        "file:///etc",
        "a?b",
        ".",
    ):
        on.see(on.client.log_artifact, run, str(file), path)
        on.see(on.client.list_artifacts, run, path)
        on.see(on.client.download_artifacts, run, path, str(on.folder))
    listed(on, run)


@differential
def test_paths_that_mean_another_thing_elsewhere_are_refused(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    file = on.folder / "file"
    file.write_text("x")
    on.see(on.client.log_artifact, run, str(file), "a\\..\\b")
    on.see(on.client.log_artifact, run, str(file), "a\0b")
    base = f"/api/2.0/mlflow-artifacts/artifacts/{where}/{run}/artifacts"
    for path in ("c%5c..%5cd", "%00"):
        on.http("PUT", f"{base}/{path}", data=b"x")
        on.http("GET", f"{base}/{path}")
        on.http("GET", f"/get-artifact?run_id={run}&path={path}")
        on.http("GET", f"artifacts/list?run_id={run}&path={path}")


@differential
def test_values_are_logged_as_files(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    with mlflow.start_run(run_name="files") as run:
        on.see(mlflow.log_dict, {"a": [1, None], "b": "✓"}, "dict.json")
        on.see(mlflow.log_dict, {"a": 1}, "deep/er/dict.yaml")
        on.see(mlflow.log_text, "some text ✓", "text.txt")
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3])
        on.see(mlflow.log_figure, figure, "figure.png")
        on.see(mlflow.log_image, Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)), "image.png")
        on.see(mlflow.log_table, {"x": [1, 2], "y": ["a", "b"]}, "table.json")
        on.see(mlflow.log_table, pd.DataFrame({"x": [3], "y": ["c"]}), "table.json")
    plt.close(figure)
    identity = run.info.run_id
    on.see(mlflow.artifacts.list_artifacts, run_id=identity, artifact_path="deep")
    on.see(mlflow.artifacts.load_dict, f"{run.info.artifact_uri}/dict.json")
    on.see(mlflow.artifacts.load_text, f"{run.info.artifact_uri}/text.txt")
    on.see(mlflow.load_table, "table.json", run_ids=[identity])
    on.note("image", mlflow.artifacts.load_image(f"{run.info.artifact_uri}/image.png").size)
    on.see(mlflow.artifacts.load_text, f"{run.info.artifact_uri}/absent.txt")
    on.see(mlflow.get_artifact_uri)
    on.see(mlflow.artifacts.download_artifacts, f"runs:/{identity}/text.txt")
    on.see(mlflow.get_run, identity)


@differential
def test_the_proxy_stores_lists_gives_and_deletes(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    base, proxy = f"{where}/{run}/artifacts", "/api/2.0/mlflow-artifacts/artifacts"
    for prefix in ("/api/2.0", "/ajax-api/2.0"):
        files = f"{prefix}/mlflow-artifacts/artifacts"
        on.http("PUT", f"{files}/{base}/a/file.txt", data=b"text")
        on.http("PUT", f"{files}/{base}/a/empty.bin", data=b"")
        answer = on.request("GET", f"{files}/{base}/a/file.txt")
        on.note(
            "file",
            (
                answer.status_code,
                answer.content,
                answer.headers.get("Content-Type"),
                answer.headers.get("Content-Disposition"),
                answer.headers.get("X-Content-Type-Options"),
            ),
        )
        on.http("GET", files, params={"path": f"{base}/a"})
        on.http("GET", files, params={"path": base})
        on.http("GET", files, params={"path": f"{base}/nowhere"})
        on.http("GET", f"{files}/{base}/nowhere")
        on.http("DELETE", f"{files}/{base}/a/file.txt")
        on.http("GET", f"{files}/{base}/a/file.txt")
        on.http("DELETE", f"{files}/{base}/a/file.txt")
    for name in ("a.html", "b.svg", "c.json", "d.png", "e.unknown", "f.js", "MLmodel", "g.tar.gz", "h.txt"):
        on.request("PUT", f"{proxy}/{base}/{name}", data=b"<x>")
        answer = on.request("GET", f"{proxy}/{base}/{name}")
        on.note(
            name,
            (
                answer.status_code,
                answer.headers.get("Content-Type"),
                answer.headers.get("Content-Disposition"),
            ),
        )
        answer = on.request("GET", "/get-artifact", params={"run_id": run, "path": name})
        on.note(
            f"get-artifact {name}",
            (
                answer.status_code,
                answer.content,
                answer.headers.get("Content-Type"),
                answer.headers.get("Content-Disposition"),
            ),
        )
    for path in ("..", "a/../../b", "%2e%2e/x", "%252e%252e/x", "/etc/passwd", "%2fetc%2fpasswd"):
        on.http("PUT", f"{proxy}/{base}/{path}", data=b"x")
        on.http("GET", f"{proxy}/{base}/{path}")
        on.http("GET", f"/get-artifact?run_id={run}&path={path}")
        on.http("GET", f"artifacts/list?run_id={run}&path={path}")
    on.http("GET", "artifacts/list", params={"run_id": run})
    on.http("GET", "artifacts/list", params={"run_uuid": run, "path": "a"})
    on.http("GET", "artifacts/list", params={"run_id": run, "path": "nowhere"})
    on.http("GET", "artifacts/list", params={"run_id": ABSENT})
    on.http("GET", "artifacts/list")
    on.http("GET", "/get-artifact", params={"run_id": run, "path": "absent"})
    on.http("GET", "/get-artifact", params={"run_id": ABSENT, "path": "absent"})
    on.http("GET", "/get-artifact", params={"run_id": run})
    on.http("GET", "/get-artifact", params={"path": "x"})
    answer = on.request(
        "POST",
        "/ajax-api/2.0/mlflow/upload-artifact",
        params={"run_uuid": run, "path": "up/file.txt"},
        data=b"uploaded",
    )
    on.note("upload", answer)
    on.http("POST", "/ajax-api/2.0/mlflow/upload-artifact", params={"path": "up/file.txt"}, data=b"uploaded")
    on.http("POST", "/ajax-api/2.0/mlflow/upload-artifact", params={"run_uuid": run}, data=b"uploaded")
    on.http(
        "POST",
        "/ajax-api/2.0/mlflow/upload-artifact",
        params={"run_uuid": run, "path": "../x"},
        data=b"uploaded",
    )
    listed(on, run, "up")


@differential
def test_a_store_that_does_not_sign_says_so(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    model = on.client.create_logged_model(where, name="net").model_id
    for what in ({"run_id": run}, {"model_id": model}, {"run_id": run, "model_id": model}, {}):
        on.http("POST", "artifacts/presigned-download-url", what | {"path": "x"})
        on.http("POST", "artifacts/presigned-upload-url", what | {"path": "x"})
    on.http("GET", f"/api/2.0/mlflow-artifacts/presigned/{where}/{run}/artifacts/x")
    on.http(
        "POST",
        f"/api/2.0/mlflow-artifacts/mpu/create/{where}/{run}/artifacts/x",
        {"path": "x", "num_parts": 2},
    )
    on.http(
        "POST",
        f"/api/2.0/mlflow-artifacts/mpu/complete/{where}/{run}/artifacts/x",
        {"path": "x", "upload_id": "u", "parts": []},
    )
    on.http(
        "POST",
        f"/api/2.0/mlflow-artifacts/mpu/abort/{where}/{run}/artifacts/x",
        {"path": "x", "upload_id": "u"},
    )


@differential
def test_files_of_a_logged_model(on: On) -> None:
    where = on.experiment()
    model = on.client.create_logged_model(where, name="net").model_id
    folder = on.folder / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "data" / "weights.bin").write_bytes(os.urandom(10))
    on.see(on.client.log_model_artifacts, model, str(folder))
    on.see(on.client.log_model_artifact, model, str(folder / "MLmodel"))
    for path in (None, "data", "nowhere"):
        found = on.client.list_logged_model_artifacts(model, path)
        on.note(f"files in {path}", sorted((item.path, item.is_dir, item.file_size) for item in found))
    on.http("GET", f"logged-models/{model}/artifacts/directories")
    on.http("GET", f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/directories")
    answer = on.request(
        "GET",
        f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files",
        params={"artifact_file_path": "MLmodel"},
    )
    on.note("file", (answer.status_code, answer.content, answer.headers.get("Content-Type")))
    on.http(
        "GET",
        f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files",
        params={"artifact_file_path": "nowhere"},
    )
    on.http(
        "GET",
        f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files",
        params={"artifact_file_path": "../x"},
    )
    on.http("GET", f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files")
    downloaded = mlflow.artifacts.download_artifacts(f"models:/{model}")
    on.note("downloaded", sorted(path.name for path in Path(downloaded).rglob("*")))
    on.note("mlmodel", json.dumps(Path(downloaded, "MLmodel").read_text()))
