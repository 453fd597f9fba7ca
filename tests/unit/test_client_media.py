"""What ``log_image``, ``log_table`` and ``log_figure`` leave in the spool, and what they refuse.

Pillow, pandas and matplotlib are not installed here: that nothing needs them is part of what is tested. With
them the calls are tested beside MLflow's, in ``tests/compat/test_native_client.py``.
"""

import datetime as dt
import json
import math
import re
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

import runstone
from runstone import notices
from runstone.exceptions import InvalidInputError, RunEndedError
from runstone.logged_tables import Table
from runstone.png import png
from tests.spool_contents import events, run_streams, session_folders, spool_records


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    monkeypatch.setattr(notices, "_said", set())
    return runstone.Client("http://127.0.0.1:9", spool=tmp_path / "spool")


@pytest.fixture
def uploaded(tmp_path):
    def read() -> dict[str, bytes]:
        [folder] = session_folders(tmp_path / "spool")
        orders = [json.loads(order.read_bytes()) for order in sorted((folder / "uploads").glob("*.json"))]
        return {order["path"]: (folder / "uploads" / f"{order['id']}.data").read_bytes() for order in orders}

    return read


@pytest.fixture
def tags(tmp_path):
    def read() -> dict[str, str]:
        records = spool_records(tmp_path / "spool")
        [run_id] = run_streams(records)
        return {tag["key"]: tag["value"] for tag in events(records, run_id, "tag")}

    return read


def pixels(file: bytes) -> np.ndarray:
    """The content of a PNG without filters, checked as its standard says."""
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        content = file[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", file, at + 8 + size) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3, 6: 4}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_a_png_as_they_are(channels):
    array = np.arange(2 * 5 * channels, dtype=np.uint8).reshape(2, 5, channels)
    assert (pixels(png(array.tobytes(), 5, 2, channels)) == array).all()


def test_an_array_becomes_a_png_whatever_its_numbers_are(client, uploaded, capsys):
    grey = np.array([[0.0, 0.5], [1.0, np.nan]])
    with client.start_run() as run:
        run.log_image(grey, "grey.png")
        run.log_image(np.array([[True, False]]), "mask.png")
        run.log_image(np.full((2, 3, 4), 200, np.int64), "deep/rgba.PNG")
        run.log_image(np.array([[-1.0, 3.0]]), "rescaled.png")
        run.log_image(np.full((2, 2), 7.0), "constant.png")
    files = {path: pixels(content) for path, content in uploaded().items()}
    assert files["grey.png"][:, :, 0].tolist() == [[0, 127], [255, 0]]
    assert files["mask.png"][:, :, 0].tolist() == [[255, 0]]
    assert (files["deep/rgba.PNG"] == 200).all()
    assert files["rescaled.png"][:, :, 0].tolist() == [[0, 255]]
    assert (files["constant.png"] == 0).all()
    assert capsys.readouterr().err.count("were scaled to 0 to 1") == 1


def test_an_image_of_a_series_has_the_names_by_which_mlflow_shows_it(client, uploaded, tags):
    image = np.zeros((300, 600, 3), np.uint8)
    with client.start_run():
        client.log_image(image, key="samples/a dog", step=7, time=123)
    full, small = sorted(uploaded(), key=len)
    name = r"images/samples~a dog\+step\+7\+timestamp\+123\+[0-9a-f-]{36}"
    assert re.fullmatch(name + r"\.png", full)
    assert small == full.removesuffix(".png") + "+compressed.png"
    assert pixels(uploaded()[full]).shape == (300, 600, 3)
    assert pixels(uploaded()[small]).shape == (100, 200, 3)
    assert tags()["mlflow.loggedImages"] == "True"


@pytest.mark.parametrize(
    ("image", "given", "what"),
    [
        (np.zeros((3, 32, 32)), {"artifact_file": "a.png"}, r"channels\) with 1, 3 or 4"),
        (np.zeros((0, 3)), {"artifact_file": "a.png"}, "shape"),
        (np.array([[256]]), {"artifact_file": "a.png"}, "between 0 and 255, found 256"),
        (np.array([["a"]]), {"artifact_file": "a.png"}, "pixels must be"),
        ("photo.png", {"artifact_file": "a.png"}, "found str"),
        (np.zeros((1, 1)), {"artifact_file": "a.jpg"}, "needs Pillow"),
        (np.zeros((1, 1)), {"artifact_file": "a"}, "says no format"),
        (np.zeros((1, 1)), {"artifact_file": "../a.png"}, "stays within"),
        (np.zeros((1, 1)), {"artifact_file": "a.png", "key": "k"}, "either"),
        (np.zeros((1, 1)), {}, "either"),
        (np.zeros((1, 1)), {"key": "a+b"}, "letters"),
        (np.zeros((1, 1)), {"key": "a", "step": 0.5}, "whole number"),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_left(client, uploaded, image, given, what):
    with client.start_run() as run, pytest.raises(InvalidInputError, match=what):
        run.log_image(image, **given)
    assert uploaded() == {}


def test_a_table_is_columns_and_rows_and_grows_when_it_is_logged_again(client, uploaded, tags):
    with client.start_run() as run:
        run.log_table({"x": [1, 2], "y": np.array([0.5, math.nan])}, "out/table.json")
        run.log_table([{"x": 3, "z": "é"}, {"y": 1.0}], "out/table.json")
        run.log_table({"one": "row", "of": 2}, "single.json")
    files = uploaded()
    assert json.loads(files["out/table.json"]) == {
        "columns": ["x", "y", "z"],
        "data": [[1, 0.5, None], [2, None, None], [3, None, "é"], [None, 1.0, None]],
    }
    assert json.loads(files["single.json"]) == {"columns": ["one", "of"], "data": [["row", 2]]}
    assert json.loads(tags()["mlflow.loggedArtifacts"]) == [
        {"path": "out/table.json", "type": "table"},
        {"path": "single.json", "type": "table"},
    ]


def test_cells_are_what_json_can_hold():
    class Unnamed:
        def __str__(self):
            return "unnamed \ud800"

    table = Table()
    table.add(
        [
            {
                "nothing": None, "truth": np.bool_(True), "big": 2**70, "inf": -math.inf, "small": np.int8(3),
                "time": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "list": [np.float32(0.5), (1,)],
                "deep": {1: math.nan}, "object": Unnamed(),
            }
        ]
    )  # fmt: skip
    assert json.loads(table.json())["data"] == [
        [None, True, str(2**70), None, 3, "2026-01-02T03:00:00+00:00", [0.5, [1]], {"1": None}, "unnamed ?"]
    ]


@pytest.mark.parametrize(
    ("data", "path", "what"),
    [
        ({"a": [1], "b": [1, 2]}, "t.json", "one length"),
        ([1, 2], "t.json", "a list with int"),
        ("text", "t.json", "found str"),
        (7, "t.json", "found int"),
        ({"a": [1]}, "t.csv", "must end in '.json'"),
        ({"a": [1]}, "a[b.json", "none of the characters"),
    ],
)
def test_what_is_no_table_is_refused(client, uploaded, data, path, what):
    with client.start_run() as run, pytest.raises(InvalidInputError, match=what):
        run.log_table(data, path)
    assert uploaded() == {}


def test_what_is_no_figure_is_refused(client):
    told = "expected a figure of matplotlib or plotly, found int"
    with client.start_run() as run, pytest.raises(InvalidInputError, match=told):
        run.log_figure(7, "a.png")
    with pytest.raises(RunEndedError):
        run.log_table({"a": 1}, "t.json")


def test_the_calls_import_no_library_that_their_argument_did_not_bring(tmp_path):
    program = """
import sys, runstone
with runstone.start_run() as run:
    run.log_table([{"a": 1}], "t.json")
    run.log_input({"rows": 3}, name="d")
    run.set_note("n")
    try:
        run.log_figure(None, "a.png")
    except runstone.InvalidInputError:
        pass
print([name for name in ("numpy", "pandas", "matplotlib", "PIL", "plotly") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"RUNSTONE_OFFLINE": "1", "RUNSTONE_SPOOL": str(tmp_path / "spool"), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_threads_that_extend_one_table_lose_no_row(client, uploaded):
    with client.start_run() as run:

        def work(number: int) -> None:
            for row in range(20):
                run.log_table({"thread": number, "row": row}, "t.json")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = json.loads(uploaded()["t.json"])["data"]
    assert sorted(map(tuple, rows)) == [(number, row) for number in range(4) for row in range(20)]
