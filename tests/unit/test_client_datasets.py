"""What ``log_input`` records of a dataset, and that equal data has equal digests."""

import json

import numpy as np
import pytest

import runstone
from runstone import datasets, notices
from runstone.events.limits import EVENT_MAX
from runstone.events.types import DatasetInput, from_json, to_json
from runstone.exceptions import InvalidInputError
from tests.spool_contents import events, spool_records


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    monkeypatch.setattr(notices, "_said", set())
    return runstone.Client("http://127.0.0.1:9", spool=tmp_path / "spool")


@pytest.fixture
def logged(client, tmp_path):
    def log(*arguments, **named) -> DatasetInput:
        with client.start_run() as run:
            run.log_input(*arguments, **named)
        records = spool_records(tmp_path / "spool")
        [found] = events(records, run.run_id, "dataset_input")
        event = from_json(found)
        assert isinstance(event, DatasetInput)
        return event

    return log


def test_an_array_is_described_as_mlflow_describes_it(logged):
    found = logged(np.zeros((2, 3), np.float32), "training", {"fold": 1}, name="points")
    assert (found.name, len(found.digest)) == ("points", 16)
    assert found.tags == {"mlflow.data.context": "training", "fold": "1"}
    [spec] = json.loads(json.loads(found.schema)["mlflow_tensorspec"]["features"])
    assert spec == {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}
    assert json.loads(found.profile) == {
        "features_shape": [2, 3], "features_size": 6, "features_nbytes": 24,
    }  # fmt: skip
    assert found.source_type == "code"
    assert json.loads(found.source)["tags"]["mlflow.source.type"] == "LOCAL"


def test_a_dict_of_arrays_and_one_of_lists_have_a_schema_by_column(logged):
    found = logged({"x": np.zeros((2, 3)), "y": np.zeros(2, np.int64)})
    specs = json.loads(json.loads(found.schema)["mlflow_tensorspec"]["features"])
    assert [(spec["name"], spec["tensor-spec"]["dtype"]) for spec in specs] == [
        ("x", "float64"),
        ("y", "int64"),
    ]
    found = logged({"age": [1, None], "name": ["a", "b"], "w": [0.5, 1.0], "ok": [True, False]})
    assert json.loads(found.schema) == {
        "mlflow_colspec": [
            {"type": "long", "name": "age", "required": False},
            {"type": "string", "name": "name", "required": True},
            {"type": "double", "name": "w", "required": True},
            {"type": "boolean", "name": "ok", "required": True},
        ]
    }
    assert json.loads(found.profile) == {"num_rows": 2, "num_elements": 8}


def test_a_dict_that_is_no_table_is_its_own_profile(logged):
    found = logged({"path": "s3://b/p", "rows": 3})
    assert json.loads(found.profile) == {"path": "s3://b/p", "rows": 3}
    assert found.schema == ""


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("data/train.csv", "local", {"uri": "data/train.csv"}),
        ("s3://b/p.csv", "s3", {"uri": "s3://b/p.csv"}),
        ("https://x.org/y", "http", {"url": "https://x.org/y"}),
        ("http://[", "local", {"uri": "http://["}),
    ],
)
def test_a_source_is_a_path_or_a_uri(logged, source, kind, said):
    found = logged(None, name="d", digest="1", source=source)
    assert (found.source_type, json.loads(found.source)) == (kind, said)


def test_whatever_it_is_can_be_recorded_under_a_name_and_a_digest(logged):
    found = logged(object(), name="theirs", digest="v7", schema={"x": "double"})
    assert (found.name, found.digest, found.profile) == ("theirs", "v7", "")
    assert json.loads(found.schema) == {"mlflow_colspec": [{"type": "double", "name": "x"}]}


def test_a_dataset_of_mlflows_kind_tells_itself(logged):
    class Source:
        pass

    class Dataset:
        name, digest, source = "n", "d", Source()

        def to_dict(self):
            return {
                "name": "n",
                "digest": "d",
                "source": "{}",
                "source_type": "t",
                "schema": None,
                "profile": "p",
            }

    found = logged(Dataset(), digest="mine")
    told = found.name, found.digest, found.source_type, found.source, found.schema, found.profile
    assert told == ("n", "mine", "t", "{}", "", "p")


def test_the_digest_is_of_the_content_its_type_and_its_shape(monkeypatch):
    def digest(data) -> str:
        return datasets._described(data).digest

    data = np.arange(12.0)
    assert digest(data) == digest(data.copy())
    assert digest(data) == digest(np.repeat(data, 2)[::2])  # whether it is contiguous does not matter
    others = [data.astype(np.float32), data.reshape(3, 4), data[:-1], data + 1, {"x": data}, {"y": data}]
    others += [np.array(["a", None], object), np.array(["2026-01-01"], "datetime64[s]"), {"x": [1]}, {"x": 1}]
    assert len({digest(data), *map(digest, others)}) == len(others) + 1
    whole = digest(data)
    monkeypatch.setattr(datasets, "HASHED_MOST", 40)
    assert digest(data) != whole
    assert digest(data) == digest(data.copy())


def test_a_schema_that_is_too_large_keeps_its_first_columns_and_fits_an_event(logged, capsys):
    found = logged({f"a rather long column's name {at}": [1] for at in range(5000)}, source="x" * 70_000)
    specs = json.loads(found.schema)["mlflow_colspec"]
    assert 100 < len(specs) < 5000
    assert specs[0]["name"].endswith(" 0")
    assert found.source == ""
    assert len(json.dumps(to_json(found))) < EVENT_MAX
    said = capsys.readouterr().err
    assert "has 5000 columns; its schema holds the first" in said
    assert "source is not recorded" in said


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"dataset": object()}, "give name and digest yourself"),
        ({"dataset": None, "name": "n"}, "give name and digest yourself"),
        ({"dataset": {"x": [1]}, "name": "n" * 501}, "name must be a text of 1 to 500"),
        ({"dataset": {"x": [1]}, "digest": "d" * 37}, "digest must be a text of 1 to 36"),
        ({"dataset": {"x": [1]}, "tags": {"": 1}}, "a tag's key"),
        ({"dataset": {"x": [1]}, "tags": 1}, "tags must be a dict"),
        ({"dataset": {"x": [1]}, "source": 1}, "source must be a text"),
        ({"dataset": {"x": [1]}, "context": np.zeros(2)}, "context must be a text"),
        ({"dataset": {"x": [1]}, "schema": [1]}, "schema must be a dict"),
        ({"dataset": {"x": {1: {}, "a": {}}}}, "cannot be described"),
    ],
)
def test_what_cannot_be_recorded_is_refused(logged, given, what):
    with pytest.raises(InvalidInputError, match=what):
        logged(**given)
