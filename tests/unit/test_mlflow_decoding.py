"""Bodies are read as protobuf's JSON parser reads them, and refused in MLflow's words."""

import contextlib
import json
import math

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runstone_gateway.mlflow.decoding import decode, parse
from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.mlflow.messages import BOOLEAN, INTEGER, NUMBER, STATUSES, TAG, many, message
from runstone_gateway.mlflow.metrics import check_present, points_of

SHAPE = message(
    "run_id", "run_uuid", "key",
    value=NUMBER, timestamp=INTEGER, status=STATUSES, flag=BOOLEAN, tags=many("tags", TAG),
)  # fmt: skip


def refused(body: object, *required: str) -> str:
    with pytest.raises(MlflowError) as error:
        decode(SHAPE, parse(json.dumps(body).encode()), required)
    assert error.value.status == 400
    return error.value.message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"value": "NaN"}, {"value": math.nan}),
        ({"value": "-Infinity"}, {"value": -math.inf}),
        ({"value": 1}, {"value": 1.0}),
        ({"value": "1.5"}, {"value": 1.5}),
        ({"value": True}, {"value": 1.0}),
        ({"timestamp": "7"}, {"timestamp": 7}),
        ({"timestamp": 7.0}, {"timestamp": 7}),
        ({"timestamp": "7.0"}, {"timestamp": 7}),
        ({"runId": "r"}, {"run_id": "r"}),
        ({"key": None, "unknown": {"a": [1]}}, {}),
        ({"status": "FAILED"}, {"status": "FAILED"}),
        ({"status": 4}, {"status": "FAILED"}),
        ({"status": "4"}, {"status": "FAILED"}),
        ({"status": "SOMETHING"}, {}),
        ({"tags": [{"key": "a"}, {"value": "b", "x": 1}]}, {"tags": [{"key": "a"}, {"value": "b"}]}),
    ],
)
def test_values_come_in_every_form_that_protobuf_takes(body, expected):
    found = decode(SHAPE, parse(json.dumps(body).encode()))
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"key": 5}, "Invalid value 5 for parameter 'key' supplied:  Hint: Value was of type 'int'."),
        ({"value": "x"}, "Invalid value \"x\" for parameter 'value' supplied"),
        ({"value": "nan"}, "'value'"),
        ({"value": [1]}, "'value'"),
        ({"timestamp": 1.5}, "'timestamp'"),
        ({"timestamp": True}, "'timestamp'"),
        ({"timestamp": "1 "}, "'timestamp'"),
        ({"timestamp": 2**63}, "64-bit"),
        ({"timestamp": 2**70}, "64-bit"),
        ({"flag": "true"}, "'flag'"),
        ({"status": 9}, "'status'"),
        ({"tags": {}}, "Invalid value {} for parameter 'tags' supplied"),
        ({"tags": [1]}, "'tags[0]'"),
        ({"tags": [{"key": 1}]}, "'tags[0].key'"),
        ({"key": "a\0b"}, "NUL"),
        ({"run_id": "a", "runId": "a"}, "both 'run_id' and 'runId'"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(body, named):
    assert named in refused(body)


def test_what_is_required_is_looked_for_under_its_own_name_and_a_runs_old_one():
    assert "Missing value for required parameter 'run_id'." in refused({"runId": "r"}, "run_id")
    assert "'key'" in refused({"key": ""}, "key")
    assert "Missing value for required parameter 'value'" in refused({"value": ""}, "value")
    assert "Missing value for required parameter 'run_id'" in refused({"value": "x"}, "run_id", "value")
    assert "Invalid value \"x\" for parameter 'value'" in refused({"value": "x"}, "value", "run_id")
    assert decode(SHAPE, {"run_uuid": "r"}, ("run_id",)) == {"run_uuid": "r"}


@pytest.mark.parametrize("body", [b"{x", b"[]", b"5", b"true", b'{"a":"\xff"}', b'{"a":NaN}', b"[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(MlflowError) as error:
        parse(body)
    assert error.value.code == "INVALID_PARAMETER_VALUE"


def test_a_body_may_be_empty_or_encoded_twice_and_not_nested_without_end():
    assert parse(b"") == {}
    assert parse(b"null") == {}
    assert parse(json.dumps('{"a": 1}').encode()) == {"a": 1}
    deep = {}
    for _ in range(150):
        deep = {"a": deep}
    with pytest.raises(MlflowError, match="nested"):
        parse(orjson.dumps(deep))


values = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5))
junk = st.recursive(
    values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner), max_leaves=3
)
names = st.sampled_from(["run_id", "key", "value", "timestamp", "status", "flag", "tags", "runId", "x"])


@given(st.dictionaries(names, junk, max_size=5))
def test_whatever_comes_is_decoded_or_refused(found):
    with contextlib.suppress(MlflowError):
        decode(SHAPE, found, ("run_id",))


metric_names = st.sampled_from(["key", "value", "timestamp", "step", "model_id", "modelId", "x"])
plain = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b/c", "a$", ""]) | junk,
        "value": st.floats(allow_nan=False, allow_infinity=False) | junk,
        "timestamp": st.integers(-5, 2**64) | junk,
        "step": st.integers(-5, 5) | junk,
    }
)


@example([{"key": None}])
@example([{"key": [], "value": 1.0, "timestamp": 1, "step": 1}])
@given(st.lists(plain | st.dictionaries(metric_names, junk), max_size=4))
def test_whatever_metrics_come_are_points_or_refused(found):
    with contextlib.suppress(MlflowError):
        check_present(found)
        points = points_of(found)
        assert len(points.k) == len(points.s) == len(points.t) == len(points.v) == len(found)


def test_the_points_of_a_batch_are_columns_by_series():
    at = {"timestamp": 5, "step": 1}
    points = points_of(
        [
            {"key": "a", "value": 1, **at},
            {"key": "b", "value": "NaN", "timestamp": "6"},
            {"key": "a", "value": 2.5, "timestamp": 7, "step": None},
            {"key": "a", "value": 3.0, **at, "model_id": "m", "run_id": "ignored"}
            | {"datasetName": "d", "datasetDigest": "1"},
        ]
    )
    assert [tuple(key) for key in points.keys] == [
        ("a", "", "", ""), ("b", "", "", ""), ("a", "m", "d", "1"),
    ]  # fmt: skip
    assert (points.k.tolist(), points.s.tolist(), points.t.tolist()) == (
        [0, 1, 0, 2],
        [1, 0, 0, 1],
        [5, 6, 7, 5],
    )
    assert points.v[0] == 1.0
    assert math.isnan(points.v[1])
    with pytest.raises(MlflowError, match="Both dataset_name and dataset_digest"):
        points_of([{"key": "a", "value": 1, **at, "dataset_name": "d"}])


def test_a_body_of_more_values_than_anything_has_is_refused_and_one_with_a_long_text_is_not():
    for body in (b"[]", b"{}", b'""', b'"\\\\"', b"1"):
        with pytest.raises(MlflowError, match="more than 200000 values"):
            parse(b'{"a":[' + b",".join([body] * 250_000) + b"]}")
    with pytest.raises(MlflowError, match="more than 200000 values"):
        parse(json.dumps(json.dumps({"a": [0] * 250_000})).encode())
    profile = json.dumps([{"a": "x"}] * 250_000)
    assert parse(json.dumps({"a": profile}).encode()) == {"a": profile}
