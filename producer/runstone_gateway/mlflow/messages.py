"""The shape of MLflow's request bodies: names and types of fields, as in its protobuf definitions.

A field has two names, ``run_id`` and ``runId``; either is accepted, both at once are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TEXT: Final = "text"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
TEXT_MAP: Final = "map of texts"
AS_IT_IS: Final = "JSON"


@dataclass(frozen=True, slots=True)
class Field:
    """Attributes:
    kind: one of the kinds above, a `Message`, or a mapping of an enumeration's names to numbers.
    """

    name: str
    kind: "str | Message | Mapping[str, int]"
    repeated: bool = False

    @property
    def json_name(self) -> str:
        """The name in camel case, as protobuf makes it."""
        first, *rest = self.name.split("_")
        return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """Fields by either of their names."""

    fields: tuple[Field, ...]
    by_name: Mapping[str, Field] = field(init=False, repr=False)
    two_names: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = {f.name: f for f in self.fields}
        object.__setattr__(self, "by_name", {f.json_name: f for f in self.fields} | names)
        pairs = tuple((f.name, f.json_name) for f in self.fields if f.name != f.json_name)
        object.__setattr__(self, "two_names", pairs)


def message(*texts: str, **others: "str | Message | Mapping[str, int] | Field") -> Message:
    """A message of text fields and of others by their kind."""
    fields = [Field(name, TEXT) for name in texts]
    fields += [kind if isinstance(kind, Field) else Field(name, kind) for name, kind in others.items()]
    return Message(tuple(fields))


def many(name: str, kind: "str | Message") -> Field:
    """A repeated field."""
    return Field(name, kind, repeated=True)


STATUSES: Final[Mapping[str, int]] = {
    "RUNNING": 1,
    "SCHEDULED": 2,
    "FINISHED": 3,
    "FAILED": 4,
    "KILLED": 5,
}

TAG: Final = message("key", "value")
METRIC: Final = message(
    "key", "dataset_name", "dataset_digest", "model_id", "run_id",
    value=NUMBER, timestamp=INTEGER, step=INTEGER,
)  # fmt: skip
