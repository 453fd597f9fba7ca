"""The tag of a logged model that lists the versions made of it: what clients wrote, and what the registry knows."""

import json

from runstone_query.mlflow.logged_model_documents import tags_shown

TAG = "mlflow.modelVersions"


def test_versions_that_no_client_has_told_are_added_behind_those_told() -> None:
    told = json.dumps([{"name": "churn", "version": 1}, {"name": "churn", "version": "1"}])
    known = [{"name": "churn", "version": 1}, {"name": "größe", "version": 2}]
    shown = tags_shown({"a": "b", TAG: told}, known)
    assert shown["a"] == "b"
    assert json.loads(shown[TAG]) == [
        {"name": "churn", "version": 1},
        {"name": "churn", "version": "1"},
        {"name": "größe", "version": 2},
    ]


def test_it_is_written_as_mlflow_writes_it() -> None:
    assert tags_shown({}, [{"name": "churn", "version": 1}]) == {TAG: '[{"name": "churn", "version": 1}]'}


def test_what_somebody_wrote_otherwise_stays() -> None:
    for text in ("{", "{}", "7", '"x"', "[" * 300 + "]" * 300):
        assert tags_shown({TAG: text}, [{"name": "churn", "version": 1}]) == {TAG: text}
    assert tags_shown({TAG: "[7]"}, [{"name": "c", "version": 1}]) == {
        TAG: '[7, {"name": "c", "version": 1}]'
    }


def test_a_model_without_versions_has_its_own_tags_alone() -> None:
    assert tags_shown({"a": "b"}, []) == {"a": "b"}
