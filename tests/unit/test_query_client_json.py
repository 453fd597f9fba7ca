"""What clients send as JSON is read, or refused as what it is."""

import base64
import json

import pytest

from runstone_query.at_least import from_header
from runstone_query.client_json import DEPTH_MOST, loads
from runstone_query.mlflow.errors import MlflowError
from runstone_query.mlflow.paging import offset_of
from runstone_query.problems import Problem


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("text", ["1", "[]", '{"a": [1, {"b": null}]}', nested(DEPTH_MOST)])
def test_what_nests_as_usual_is_read_as_it_is(text: str) -> None:
    assert loads(text) == json.loads(text)


@pytest.mark.parametrize("depth", [DEPTH_MOST + 1, 1000, 100_000])
def test_what_nests_deeper_is_refused_wherever_it_comes_from(depth: int) -> None:
    with pytest.raises(ValueError, match=r"nest|recursion|depth"):
        loads(nested(depth))
    with pytest.raises(Problem):
        from_header('{"e": ' + nested(depth) + "}", {"events": "e"})
    with pytest.raises(MlflowError):
        offset_of(base64.b64encode(nested(depth).encode()).decode())
