"""The differences from MLflow that are wanted; every other one fails.

Each names a row of the table in ``docs/mlflow-compatibility.md``, which says why. One that no longer occurs
fails as well, so that the table stays true.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Accepted:
    """Where one difference is met; all are patterns that match in full."""

    row: str
    call: str
    path: str
    got: str = ".*"
    """What Runstone answers there."""

    test: str = ".*"

    def covers(self, test: str, call: str, path: str, got: str) -> bool:
        """Whether this is the difference at *path* of what *call* returned or raised."""
        found = ((self.test, test), (self.call, call), (self.path, path), (self.got, got))
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in found)


ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        "search-messages",
        call=r"search_\w+\(.*|(GET|POST) \S+/search\(.*",
        path=r"(\.body)?\.message",
        got=r"(INVALID_PARAMETER_VALUE: )?(Invalid (clause|order_by)|page_token).*",
    ),
    Accepted(
        "artifact-paths",
        call=r"(\w+|[A-Z]+ .*)\(?.*(a%5c|a\\|%00|\x00|\\u0000).*",
        path=".*",
        got="<absent>|400|application/json|INVALID_PARAMETER_VALUE|.*Invalid path.*|.*please ensure that the path.*",
        test="test_(paths_that_lead_elsewhere|the_proxy_stores).*",
    ),
    Accepted(
        "artifact-refusals",
        call="(PUT|GET) .*/artifacts/.*",
        path=r"\.body\.(detail|error_code|message)",
        got="<absent>|INVALID_PARAMETER_VALUE|Invalid path.*",
        test="test_the_proxy_stores.*",
    ),
)
