"""The search for logged models: what filter and order may name, and on which datasets metrics count."""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from runstone_query.inputs import storable
from runstone_query.mlflow.asked import Asked, wrong_value
from runstone_query.mlflow.errors import invalid
from runstone_query.mlflow.pages import Sought
from runstone_query.mlflow.searching import experiment_ids, parsed_filter
from runstone_query.search.ast import Entity, Field, OrderTerm
from runstone_query.search.compile import Target
from runstone_query.search.language import IDS, LISTED, NUMBERS, Attribute, Language
from runstone_query.statements import pieces

PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 50_000
_DATASETS_MAX: Final = 100
_TERMS_MAX: Final = 20

_PREFIXES: Final[Mapping[str, Entity]] = {
    "attributes": "attribute",
    "metrics": "metric",
    "params": "param",
    "tags": "tag",
}
_TEXT: Final = Attribute("text", LISTED)
_TIME: Final = Attribute("number", NUMBERS)

LANGUAGE: Final = Language(
    _PREFIXES,
    {
        "name": _TEXT,
        "model_id": _TEXT,
        "model_type": _TEXT,
        "source_run_id": _TEXT,
        "experiment_id": Attribute("digits", IDS),
        "status": _TEXT,
        "lifecycle_stage": _TEXT,
        "artifact_location": _TEXT,
        "creation_timestamp": _TIME,
        "last_updated_timestamp": _TIME,
    },
    {
        "creation_time": "creation_timestamp",
        "creation_timestamp_ms": "creation_timestamp",
        "last_updated_timestamp_ms": "last_updated_timestamp",
    },
    {"metric": NUMBERS, "param": LISTED, "tag": LISTED},
)

MODELS: Final = Target(
    LANGUAGE,
    pieces(__file__, "logged_model_search.sql"),
    (
        OrderTerm(Field("attribute", "creation_timestamp"), descending=True),
        OrderTerm(Field("attribute", "model_id")),
    ),
)


def sought(asked: Asked) -> Sought:
    """The search that a request asks for. Raises `MlflowError`."""
    if not asked.has("experiment_ids"):
        raise invalid(
            "Missing value for required parameter 'experiment_ids'. See the API docs for more information "
            "about request parameters."
        )
    ids = experiment_ids(asked)
    text = asked.text("filter")
    expression = parsed_filter(text, LANGUAGE)
    datasets = [_dataset(found) for found in _some(asked, "datasets", _DATASETS_MAX)]
    terms = [_term(found) for found in _some(asked, "order_by", _TERMS_MAX)]
    if len({term.field for term in terms}) < len(terms):
        raise invalid("`order_by` contains duplicate fields")
    return Sought(
        MODELS,
        expression,
        terms,
        [("in_experiments", ids), ("measured_on", True)],
        [ids, text, datasets, [[term.field.entity, term.field.key, term.descending] for term in terms]],
        _page_size(asked),
        asked.text("page_token"),
        {
            "dataset_names": [name for name, _ in datasets] or None,
            "dataset_digests": [digest for _, digest in datasets] or None,
        },
    )


def _page_size(asked: Asked) -> int:
    """How many models; MLflow's server takes 0 for nothing said."""
    return asked.max_results(PAGE_DEFAULT, PAGE_MAX) if asked.integer("max_results", 0) else PAGE_DEFAULT


def _some(asked: Asked, name: str, most: int) -> list[dict[str, Any]]:
    found = asked.members(name)
    if len(found) > most or not all(type(member) is dict for member in found):
        raise wrong_value(name, found)
    return cast("list[dict[str, Any]]", found)


def _text(found: Mapping[str, Any], name: str) -> str:
    first, *rest = name.split("_")
    value = found.get(name, found.get(first + "".join(word.capitalize() for word in rest)))
    if value is None:
        return ""
    if type(value) is not str or not storable(value):
        raise wrong_value(name, value)
    return value


def _dataset(found: Mapping[str, Any]) -> tuple[str, str]:
    name = _text(found, "dataset_name")
    if not name:
        raise invalid("`dataset_name` in the `datasets` clause must be specified.")
    return name, _text(found, "dataset_digest")


def _term(found: Mapping[str, Any]) -> OrderTerm:
    name, ascending = _text(found, "field_name"), found.get("ascending", True)
    if type(ascending) is not bool:
        raise wrong_value("ascending", ascending)
    entity, dot, key = name.partition(".")
    if dot:
        if entity != "metrics":
            raise invalid(f"Invalid order by field name: {name}. Only metrics are supported.")
        # what `metric_joined` sorts by
        of_dataset = [key, _text(found, "dataset_name"), _text(found, "dataset_digest")]
        return OrderTerm(Field("metric", orjson.dumps(of_dataset).decode()), not ascending)
    attribute = LANGUAGE.aliases.get(name, name)
    if attribute not in LANGUAGE.attributes:
        raise invalid(f"Invalid order by field name: {name}")
    return OrderTerm(Field("attribute", attribute), not ascending)
