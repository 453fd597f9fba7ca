"""Searches of the model registry: what their filters and orders may name, and the SQL of it.

MLflow's clients add to every filter that they want no prompts. Here there are none, so a comparison with the
tag of prompts either means nothing or that nothing is found.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from runstone.events.registry_rules import PROMPT_TAG
from runstone_query.mlflow.pages import Sought
from runstone_query.mlflow.searching import parsed_filter, parsed_order
from runstone_query.search.ast import And, Comparison, Entity, Expression, Field, OrderTerm
from runstone_query.search.compile import Condition, Target
from runstone_query.search.language import LISTED, NUMBERS, TEXTS, Attribute, Language
from runstone_query.statements import pieces

_PREFIXES: Final[Mapping[str, Entity]] = {"attribute": "attribute", "tags": "tag", "tag": "tag"}
_TIME: Final = Attribute("integer", NUMBERS, filters=False)

MODELS: Final = Target(
    Language(
        _PREFIXES,
        {"name": Attribute("text", LISTED), "last_updated_timestamp": _TIME},
        {"timestamp": "last_updated_timestamp"},
        {"tag": TEXTS},
    ),
    pieces(__file__, "registered_model_search.sql"),
    (OrderTerm(Field("attribute", "name")),),
)

VERSIONS: Final = Target(
    Language(
        _PREFIXES,
        {
            "name": Attribute("text", LISTED),
            "version_number": Attribute("numeral", NUMBERS),
            "run_id": Attribute("text", LISTED, sorts=False),
            "source_path": Attribute("text", TEXTS, sorts=False),
            "creation_timestamp": _TIME,
            "last_updated_timestamp": _TIME,
        },
        {},
        {"tag": TEXTS},
    ),
    pieces(__file__, "model_version_search.sql"),
    (
        OrderTerm(Field("attribute", "name")),
        OrderTerm(Field("attribute", "version_number"), descending=True),
    ),
)

_NEWEST_FIRST: Final = OrderTerm(Field("attribute", "last_updated_timestamp"), descending=True)


def models(text: str, order_by: Sequence[str], limit: int, page_token: str) -> Sought:
    """The search for registered models. Raises `MlflowError`."""
    expression, scope = _filter(text, MODELS.language)
    terms = parsed_order(order_by, MODELS.language)
    query = ["registered-models", text, list(order_by)]
    return Sought(MODELS, expression, terms, scope, query, limit, page_token)


def versions(text: str, order_by: Sequence[str], limit: int, page_token: str) -> Sought:
    """The search for versions. Raises `MlflowError`."""
    expression, scope = _filter(text, VERSIONS.language)
    terms = parsed_order(order_by, VERSIONS.language) or [_NEWEST_FIRST]
    query = ["model-versions", text, list(order_by)]
    return Sought(VERSIONS, expression, terms, scope, query, limit, page_token, identity=2)


def _filter(text: str, language: Language) -> tuple[Expression, list[Condition]]:
    tree = parsed_filter(text, language)
    kept: list[Expression] = []
    only_prompts = False
    for operand in tree.operands:
        if isinstance(operand, Comparison) and operand.field == Field("tag", PROMPT_TAG):
            value = str(operand.value).lower()
            only_prompts |= (operand.operator, value) in {("=", "true"), ("!=", "false")}
        else:
            kept.append(operand)
    return And(tuple(kept)), [("if", not only_prompts)]
