"""The differences from MLflow that are wanted; every other one fails.

Each names a row of the table in ``docs/mlflow-compatibility.md``, which says why. One that no longer occurs
fails as well, so that the table stays true.
"""

import re
from dataclasses import dataclass

REFUSED = (
    r"<absent>|400|KAM00|application/json|RestException|INVALID_PARAMETER_VALUE.*|BAD_REQUEST.*|Invalid .*"
)
"""What Runstone answers, member by member, where it refuses what MLflow takes."""

JSON_REFUSAL = r"application/json|application/problem\+json|.*(error_code|no-such-route).*"


@dataclass(frozen=True)
class Accepted:
    """Where one difference is met; all are patterns that match in full."""

    row: str
    test: str = ".*"
    call: str = ".*"
    path: str = ".*"
    got: str = ".*"
    """What Runstone answers there."""

    def covers(self, test: str, call: str, path: str, got: str) -> bool:
        """Whether this is the difference at *path* of what *call* returned or raised."""
        found = ((self.test, test), (self.call, call), (self.path, path), (self.got, got))
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in found)


ACCEPTED: tuple[Accepted, ...] = (
    # requests
    Accepted("unknown-addresses", "test_addresses_.*", path=r"\.(body|type)", got=JSON_REFUSAL),
    Accepted("unknown-addresses", call="GET /get-artifact.*", path=r"\.(body|type)", got=JSON_REFUSAL),
    Accepted(
        "server-info",
        call="GET /api/3.0/mlflow/server-info.*",
        path=r"\.body\.(features_enabled\.gateway|store_type)",
    ),
    Accepted(
        "unreadable",
        "test_a_request_that_names_no_json_is_refused",
        path=r"\.body\.message",
        got="The request body.*",
    ),
    Accepted(
        "unreadable", "test_fields_of_another_type.*", call='.*"timestamp": "".*', path=r"\.body\.message"
    ),
    Accepted("unreadable", "test_what_mlflow_cannot_read.*", got=rf"{REFUSED}|The request body.*"),
    # experiments and runs
    Accepted(
        "restored-runs",
        "test_an_experiment_is_deleted_and_restored.*",
        path=r"\.info\.lifecycle_stage",
        got="deleted",
    ),
    Accepted("run-ends", "test_a_run_(ends_with|is_renamed).*", path=r"\.info\.end_time", got="None|<now>"),
    Accepted("times", "test_a_time_in_nanoseconds.*", got=r"\{'raised.*INVALID_PARAMETER_VALUE.*"),
    Accepted("key-limits", "test_a_key_of_a_dataset_tag.*", got=r"\{'raised.*INVALID_PARAMETER_VALUE.*"),
    Accepted("dataset-sources", "test_inputs_are_joined.*", path=r".*\.dataset\.source", got="other"),
    Accepted("run-ends", "test_missing_and_odd.*", path=r"\.body.*\.end_time", got="<now>"),
    # searches
    Accepted(
        "search-messages",
        call=r"search_\w+\(.*|(GET|POST) \S+/search\(.*",
        path=r"(\.body)?\.message",
        got=r"(INVALID_PARAMETER_VALUE: )?(Invalid (clause|order_by)|page_token).*",
    ),
    Accepted("search-strictness", call=r"search_\w+\(.* AND(, .*)?\)", got=REFUSED),
    Accepted("search-strictness", call=r"search_\w+\(.*(, |=)AND tags.*\)", got=REFUSED),
    Accepted("search-strictness", call=r"search_\w+\(.*tags\. = .*\)", got=REFUSED),
    Accepted("search-strictness", call=r"search_\w+\(.*= 'red' tags\.colour.*\)", got=REFUSED),
    Accepted("search-aliases", call=r"search_runs\(.*order_by=\[\"attributes\.`run name`.*"),
    Accepted("plus-sign", call=r"search_runs\(.*> \+0\.1.*\)"),
    Accepted("like-escapes", call=r"search_runs\(.*LIKE 'y\\%z'.*\)", path=r"\.items.*"),
    Accepted(
        "page-sizes",
        call=r"search_(registered_models|model_versions|logged_models)\(.*max_results=.*|GET model-versions/search.*",
        got=REFUSED,
    ),
    Accepted("model-status", call=r"search_logged_models\(.*status = 2.*", got=REFUSED),
    Accepted("model-datasets", call=r"search_logged_models\(.*datasets=.*\"train\"\}\]\)", path=r"\.items"),
    Accepted("model-nan", "test_a_metric_of_a_model_may_be_no_number", path=r".*\.value", got="NaN"),
    # registry
    Accepted(
        "version-sources",
        call=r"create_model_version\(.*http://x/y.*",
        path=r"\.message",
        got="INVALID.*'http' scheme.*",
    ),
    # artifacts
    Accepted("artifact-paths", "test_paths_that_mean_another_thing.*", got=rf"{REFUSED}|.*Invalid path.*"),
    Accepted(
        "artifact-refusals",
        "test_the_proxy_stores.*",
        call="(PUT|GET) .*/artifacts/.*",
        path=r"\.body\.(detail|error_code|error_class|sqlstate|message)",
        got=rf"{REFUSED}|Artifact path refers.*",
    ),
)
