"""What can be searched: entities with their aliases, the attributes of a run, and the operators of each."""

from collections.abc import Mapping
from typing import Final, Literal, cast

from runstone.events import limits
from runstone_query.search.ast import Entity, Field, Operator
from runstone_query.search.errors import SearchError, shown
from runstone_query.search.lexer import Token

ValueKind = Literal["number", "text"]

_ENTITIES: Final[Mapping[str, Entity]] = {
    "metrics": "metric", "metric": "metric",
    "params": "param", "param": "param", "parameters": "param", "parameter": "param",
    "tags": "tag", "tag": "tag",
    "attributes": "attribute", "attribute": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip

_ATTRIBUTES: Final[Mapping[str, ValueKind]] = {
    "run_id": "text",
    "run_name": "text",
    "status": "text",
    "user": "text",
    "parent_run_id": "text",
    "start_time": "number",
    "end_time": "number",
}
"""By canonical name; ``search.sql`` has a block ``attribute_<name>`` for each."""

_ALIASES: Final = {"name": "run_name", "run name": "run_name", "user_id": "user", "created": "start_time"}
"""MLflow's names for the same attributes, in lower case."""

_NUMBER_OPERATORS: Final = ("=", "!=", ">", ">=", "<", "<=")
_TEXT_OPERATORS: Final = ("=", "!=", "LIKE", "ILIKE")
_ID_OPERATORS: Final = (*_TEXT_OPERATORS, "IN", "NOT IN")

ENTITIES_ACCEPTED: Final = "metrics., params., tags. or attributes. with a key, or an attribute's name"
ATTRIBUTES_ACCEPTED: Final = f"one of the attributes {', '.join(_ATTRIBUTES)}"


def field_of(name: Token) -> Field:
    """The field that a NAME token names. Raises `SearchError` where there is none of that name."""
    if name.key is None:
        return _attribute(name.text, name, f"{ENTITIES_ACCEPTED}: {', '.join(_ATTRIBUTES)}")
    entity = _ENTITIES.get(name.text.lower())
    if entity is None:
        raise SearchError(name.position, shown(name.text), ENTITIES_ACCEPTED)
    if entity == "attribute":
        return _attribute(name.key, name, ATTRIBUTES_ACCEPTED)
    if len(name.key) > limits.KEY_MAX:
        raise SearchError(
            name.position, f"a key of {len(name.key)} characters", f"one of at most {limits.KEY_MAX}"
        )
    return Field(entity, name.key)


def _attribute(text: str, name: Token, accepted: str) -> Field:
    lowered = text.lower()
    canonical = _ALIASES.get(lowered, lowered)
    if canonical not in _ATTRIBUTES:
        raise SearchError(name.position, str(name), accepted)
    return Field("attribute", canonical)


def value_kind(field: Field) -> ValueKind:
    """What *field* is compared with."""
    if field.entity == "attribute":
        return _ATTRIBUTES[field.key]
    return "number" if field.entity == "metric" else "text"


def operators(field: Field) -> tuple[Operator, ...]:
    """What *field* may be compared by."""
    if field == Field("attribute", "run_id"):
        accepted: tuple[str, ...] = _ID_OPERATORS
    else:
        accepted = _NUMBER_OPERATORS if value_kind(field) == "number" else _TEXT_OPERATORS
    return cast("tuple[Operator, ...]", accepted)
