"""Searching runs: the native language, and the SQL of its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from runstone_query.search.ast import Entity, Field, Operator, OrderTerm
from runstone_query.search.compile import Condition, Target
from runstone_query.search.language import LISTED, NUMBERS, OPTIONAL, TEXTS, Attribute, Language
from runstone_query.statements import pieces

PREFIXES: Final[Mapping[str, Entity]] = {
    "metrics": "metric", "metric": "metric",
    "params": "param", "param": "param", "parameters": "param", "parameter": "param",
    "tags": "tag", "tag": "tag",
    "datasets": "dataset", "dataset": "dataset",
    "attributes": "attribute", "attribute": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip

OPERATORS: Final[Mapping[Entity, tuple[Operator, ...]]] = {
    "metric": NUMBERS,
    "param": OPTIONAL,
    "tag": OPTIONAL,
    "dataset": LISTED,
}

KEYS: Final[Mapping[Entity, tuple[str, ...]]] = {"dataset": ("name", "digest", "context")}

LANGUAGE: Final = Language(
    PREFIXES,
    {
        "run_id": Attribute("text", LISTED),
        "run_name": Attribute("text", TEXTS),
        "status": Attribute("text", TEXTS),
        "user": Attribute("text", TEXTS),
        "parent_run_id": Attribute("text", TEXTS),
        "start_time": Attribute("number", NUMBERS),
        "end_time": Attribute("number", NUMBERS),
    },
    {"name": "run_name", "run name": "run_name", "user_id": "user", "created": "start_time"},
    OPERATORS,
    KEYS,
    folds=True,
)

TAIL: Final = (
    OrderTerm(Field("attribute", "start_time"), descending=True),
    OrderTerm(Field("attribute", "run_id")),
)

BLOCKS: Final = pieces(__file__, "runs.sql")

RUNS: Final = Target(LANGUAGE, BLOCKS, TAIL)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs are looked at before the filter is: null means all of them."""

    experiment_ids: Sequence[int] | None = None
    lifecycle_stage: Literal["active", "deleted"] | None = None

    @property
    def conditions(self) -> list[Condition]:
        """For `compile_search`."""
        found: list[Condition] = []
        if self.experiment_ids is not None:
            found.append(("in_experiments", list(self.experiment_ids)))
        if self.lifecycle_stage is not None:
            found.append(("in_lifecycle_stage", self.lifecycle_stage))
        return found
