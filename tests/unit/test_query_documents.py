"""What the read API says, made by pure functions: problems, page tokens, completeness, comparison, OpenAPI."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.exceptions import InvalidInputError
from runstone_query import pagination
from runstone_query.app import ROUTES
from runstone_query.comparison import compare
from runstone_query.configuration import from_environment
from runstone_query.end_offsets import Ends
from runstone_query.histories import values_to_json
from runstone_query.ingest import Alarms, report
from runstone_query.openapi import document
from runstone_query.problems import Problem, invalid, response
from runstone_query.run_documents import completeness
from runstone_query.snapshot import quoted
from runstone_query.statements import fill

HASH = pagination.query_hash(["a", None])


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    answer = response(invalid("limit", 0, "an integer from 1 to 1000"))
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    assert isinstance(answer.body, bytes)
    assert orjson.loads(answer.body) == {
        "type": "urn:runstone:problem:invalid-input",
        "title": "Bad Request",
        "status": 400,
        "detail": "limit: found 0, expected an integer from 1 to 1000",
        "field": "limit",
        "found": "0",
        "accepted": "an integer from 1 to 1000",
    }


@given(st.one_of(st.text(), st.floats(), st.integers(), st.lists(st.text()), st.none()))
def test_a_problem_can_show_anything_that_was_found(found: object) -> None:
    assert response(invalid("field", found, "something else")).status == 400


def test_only_what_passes_asks_to_come_back() -> None:
    assert response(Problem(503, "read-model-away", "away")).headers["Retry-After"] == "1"
    assert "Retry-After" not in response(Problem(404, "not-found", "no")).headers


ROW = st.tuples(
    st.booleans(), st.floats(), st.integers(-(2**63), 2**63 - 1), st.text().filter(lambda t: "\0" not in t)
)
TYPES: list[pagination.ColumnType] = ["boolean", "float8", "bigint", "text"]


@given(ROW.flatmap(lambda row: st.tuples(*(st.sampled_from([value, None]) for value in row))))
def test_a_page_token_carries_any_row_exactly(row: tuple[Any, ...]) -> None:
    try:
        token = pagination.encode("runstone_g1", HASH, list(row))
    except orjson.JSONEncodeError:
        assert any("\ud800" <= c <= "\udfff" for c in row[3])
        return
    found = pagination.decode(token, "runstone_g1", HASH, TYPES)
    for ours, theirs in zip(found, row, strict=True):
        assert type(ours) is type(theirs)
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs))  # type: ignore[arg-type]


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1")), st.just("WzEsMSwxLDFd")))
def test_junk_is_no_page_token(token: str) -> None:
    with pytest.raises(Problem) as wrong:
        pagination.decode(token, "runstone_g1", HASH, TYPES)
    assert (wrong.value.status, wrong.value.field) == (400, "page_token")


@pytest.mark.parametrize(
    "values",
    [["x", 1.0, 1, "x"], [True, 1, 1, "x"], [True, 1.0, 2**63, "x"], [True, 1.0, True, "x"], [True, "nan", 1, "x"],
     [True, 1.0, 1, "\0"], [True, 1.0, 1], [True, 1.0, 1, "x", 1], [[], {}, 1, "x"]],
)  # fmt: skip
def test_a_forged_page_token_holds_nothing_but_what_its_columns_may(values: list[Any]) -> None:
    with pytest.raises(Problem):
        pagination.decode(pagination.encode("runstone_g1", HASH, values), "runstone_g1", HASH, TYPES)


def test_a_generations_name_is_an_identifier_or_nothing() -> None:
    assert quoted("runstone_g12") == '"runstone_g12"'
    for name in ("", 'a"; DROP SCHEMA x; --', "Runstone", "a b", "a.b", "runstone_g1\n", "1a", "a" * 64):
        with pytest.raises(ValueError, match="generation"):
            quoted(name)


def test_names_that_are_not_filled_in_stay_open() -> None:
    assert fill("{schema}.runs = {a} '{}' {1}", a="{schema}") == "{schema}.runs = {schema} '{}' {1}"


def mark(**columns: Any) -> dict[str, Any]:
    return {"session": "s", "high_seq": 9, "missing": [], "declared": [], "ended": None, "end_reason": None,
            "clean": None} | columns  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "dead", "complete", "gaps"),
    [
        ({}, 0, True, 0),
        ({"clean": True, "ended": "ended"}, 0, True, 0),
        ({"missing": [SimpleNamespace(lower=1, upper=3)]}, 0, False, 1),
        ({"declared": [{"first_seq": 1, "count": 2, "kind": "dropped", "reason": "full"}]}, 0, False, 0),
        (
            {
                "missing": [SimpleNamespace(lower=1, upper=3), SimpleNamespace(lower=5, upper=9)],
                "declared": [
                    {"first_seq": 1, "count": 2, "kind": "dropped", "reason": "full"},
                    {"first_seq": 6, "count": 1, "kind": "damaged", "reason": ""},
                ],
            },
            0,
            False,
            2,
        ),
        ({"clean": False}, 0, False, 0),
        ({}, 1, False, 0),
    ],
)
def test_a_run_is_complete_when_nothing_of_it_is_missing_dead_or_lost(
    columns: dict[str, Any], dead: int, complete: bool, gaps: int
) -> None:
    found = completeness([mark(**columns), mark(session="t")], dead)
    assert (found["complete"], found["gaps"], found["dead_letters"]) == (complete, gaps, dead)


def test_a_single_run_agrees_with_itself() -> None:
    heads = dict.fromkeys(
        ("experiment_id", "experiment_name", "name", "status", "status_reason", "lifecycle_stage", "start_time",
         "end_time", "user", "parent_run_id", "artifact_uri", "last_heard_at", "stale")
    )  # fmt: skip
    found = compare([{**heads, "run_id": "a", "params": {"x": "1"}, "metrics": {"m": "NaN"}}])
    assert found["params"] == {"differ": {}, "agree": {"x": "1"}}
    assert found["metrics"] == {"m": {"a": "NaN"}}


def test_the_lag_is_unknown_without_kafka_and_never_negative() -> None:
    rows = {
        ("e", n): {"next_offset": 5, "records": 5, "duplicates": 0, "dead": 0, "updated_at": 1}
        for n in (1, 0)
    }
    found = report(rows, Ends({("e", 0): 7, ("e", 1): 3}), Alarms())
    assert [(p["partition"], p["lag_records"]) for p in found["partitions"]] == [(0, 2), (1, 0)]
    assert found["lag_records"] == 2
    found = report(rows, Ends(reason="away"), Alarms())
    assert (found["lag_records"], found["lag_unknown_because"]) == (None, "away")
    assert report({}, Ends(), Alarms())["lag_records"] is None


@given(st.lists(st.floats()))
def test_values_leave_exactly_or_as_texts(values: list[float]) -> None:
    sent = orjson.dumps(values_to_json(np.array(values, dtype=np.float64)), option=orjson.OPT_SERIALIZE_NUMPY)
    names = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    back = [names[v] if isinstance(v, str) else v for v in orjson.loads(sent)]
    assert np.array(back).tobytes() == np.array([math.nan if math.isnan(v) else v for v in values]).tobytes()


def test_every_operation_is_described_whole() -> None:
    found = document(ROUTES)
    assert found["openapi"] == "3.1.0"
    for methods in found["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert {"200", "500", "503"} <= set(operation["responses"])
    assert "patternProperties" not in str(found)
    assert orjson.loads(orjson.dumps(found)) == found


def test_the_environment_names_a_database_and_perhaps_more() -> None:
    with pytest.raises(InvalidInputError, match="RUNSTONE_READ_DSN"):
        from_environment({})
    with pytest.raises(InvalidInputError, match="RUNSTONE_ARTIFACT_ROOT"):
        from_environment({"RUNSTONE_POSTGRES_DSN": "d", "RUNSTONE_ARTIFACT_ROOT": "relative"})
    found = from_environment(
        {
            "RUNSTONE_POSTGRES_DSN": "worker",
            "RUNSTONE_READ_DSN": "reader",
            "RUNSTONE_ARTIFACT_ROOT": "file:///a%20b",
            "RUNSTONE_TOPIC_PREFIX": "p",
        }
    )
    assert found.dsn == "reader"
    assert found.artifact_root_uri == "file:///a%20b"
    assert found.topics == {"events": "p.events", "catalog": "p.catalog"}
