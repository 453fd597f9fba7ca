"""What can be said in a search for one kind of thing: its fields by all their names, and their operators."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from runstone.events import limits
from runstone_query.search.ast import Entity, Field, Operator
from runstone_query.search.errors import SearchError, shown
from runstone_query.search.lexer import Token

Kind = Literal["number", "integer", "text", "digits", "numeral"]
"""What a field is compared with: a number, one without a fraction, a string, an integer in a string, or an
integer with or without quotes."""

NUMBERS: Final[tuple[Operator, ...]] = ("=", "!=", ">", ">=", "<", "<=")
TEXTS: Final[tuple[Operator, ...]] = ("=", "!=", "LIKE", "ILIKE")
LISTED: Final[tuple[Operator, ...]] = (*TEXTS, "IN", "NOT IN")
OPTIONAL: Final[tuple[Operator, ...]] = (*TEXTS, "IS NULL", "IS NOT NULL")
IDS: Final[tuple[Operator, ...]] = ("=", "!=", "IN", "NOT IN")


@dataclass(frozen=True, slots=True)
class Attribute:
    """Attributes:
    sorts: whether an order may name it. filters: whether a filter may.
    """

    kind: Kind
    operators: tuple[Operator, ...]
    sorts: bool = True
    filters: bool = True


@dataclass(frozen=True, slots=True)
class Language:
    """Attributes:
    prefixes: what may stand before the dot of a name, and the entity it means.
    attributes: by canonical name.
    aliases: other names of attributes.
    operators: of every entity but attributes.
    keys: of entities that have only these; the others have any.
    sorted_entities: what an order may name.
    folds: whether prefixes and attributes may be written in any case.
    """

    prefixes: Mapping[str, Entity]
    attributes: Mapping[str, Attribute]
    aliases: Mapping[str, str]
    operators: Mapping[Entity, tuple[Operator, ...]]
    keys: Mapping[Entity, tuple[str, ...]] = field(default_factory=dict)
    sorted_entities: tuple[Entity, ...] = ("metric", "param", "tag", "attribute")
    folds: bool = False

    @property
    def accepted(self) -> str:
        """What a name may be, for a person."""
        prefixes: dict[Entity, str] = {}
        for prefix, entity in self.prefixes.items():
            prefixes.setdefault(entity, f"{prefix}.")
        *others, last = prefixes.values()
        named = f"{', '.join(others)} or {last}" if others else last
        return f"{named} with a key, or an attribute's name"

    def field_of(self, name: Token, *, sorting: bool = False) -> Field:
        """The field that a NAME token names, in a filter or for *sorting*.

        Raises:
            SearchError: there is none of that name.
        """
        if name.key is None:
            return self._attribute(name.text, name, f"{self.accepted}: ", sorting=sorting)
        entity = self.prefixes.get(name.text.lower() if self.folds else name.text)
        if entity is None or (sorting and entity not in self.sorted_entities):
            raise SearchError(name.position, shown(name.text), self.accepted)
        if entity == "attribute":
            return self._attribute(name.key, name, "one of the attributes ", sorting=sorting)
        keys = self.keys.get(entity)
        if keys is not None and name.key not in keys:
            raise SearchError(name.position, str(name), f"{name.text}. with one of {', '.join(keys)}")
        if len(name.key) > limits.KEY_MAX:
            raise SearchError(
                name.position, f"a key of {len(name.key)} characters", f"one of at most {limits.KEY_MAX}"
            )
        return Field(entity, name.key)

    def _attribute(self, text: str, name: Token, accepted: str, *, sorting: bool) -> Field:
        folded = text.lower() if self.folds else text
        canonical = self.aliases.get(folded, folded)
        found = self.attributes.get(canonical)
        if found is None or not (found.sorts if sorting else found.filters):
            usable = [n for n, a in self.attributes.items() if (a.sorts if sorting else a.filters)]
            raise SearchError(name.position, str(name), accepted + ", ".join(usable))
        return Field("attribute", canonical)

    def kind(self, named: Field) -> Kind:
        """What *named* is compared with."""
        if named.entity == "attribute":
            return self.attributes[named.key].kind
        return "number" if named.entity == "metric" else "text"

    def operators_of(self, named: Field) -> tuple[Operator, ...]:
        """What *named* may be compared by."""
        if named.entity == "attribute":
            return self.attributes[named.key].operators
        return self.operators[named.entity]
