"""The list of accepted differences and the table that users read say the same, and both are true."""

import re

import pytest

from tests.compat.accepted import ACCEPTED
from tests.compat.differential import MET
from tests.compat.servers import ROOT

TABLE = ROOT / "docs" / "mlflow-compatibility.md"


def test_every_accepted_difference_has_its_row_in_the_table() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|", TABLE.read_text(), re.MULTILINE))
    assert {accepted.row for accepted in ACCEPTED} <= rows


def test_every_accepted_difference_was_met(request: pytest.FixtureRequest) -> None:
    if request.config.option.keyword or request.config.args != ["tests/compat"]:
        pytest.skip("only a part of the calls was made")
    unmet = [accepted for accepted in ACCEPTED if accepted not in MET]
    assert not unmet, "\n".join(map(str, unmet))
