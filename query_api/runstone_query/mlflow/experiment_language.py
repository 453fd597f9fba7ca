"""Searching experiments as MLflow's clients do: what can be said, and the SQL of it."""

from collections.abc import Mapping
from typing import Final

from runstone_query.search.ast import Entity, Field, OrderTerm
from runstone_query.search.compile import Target
from runstone_query.search.language import IDS, NUMBERS, OPTIONAL, TEXTS, Attribute, Language
from runstone_query.statements import pieces

_PREFIXES: Final[Mapping[str, Entity]] = {"tags": "tag", "tag": "tag", "attribute": "attribute"}

LANGUAGE: Final = Language(
    _PREFIXES,
    {
        "name": Attribute("text", TEXTS),
        "experiment_id": Attribute("digits", IDS),
        "creation_time": Attribute("integer", NUMBERS),
        "last_update_time": Attribute("integer", NUMBERS),
    },
    {},
    {"tag": OPTIONAL},
    sorted_entities=("attribute",),
)

_ID: Final = Field("attribute", "experiment_id")

EXPERIMENTS: Final = Target(
    LANGUAGE, pieces(__file__, "experiment_language.sql"), (OrderTerm(_ID, descending=True),)
)

ORDER_DEFAULT: Final = [OrderTerm(Field("attribute", "creation_time"), descending=True), OrderTerm(_ID)]
