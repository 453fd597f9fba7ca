"""The tree that a filter is read into, and the terms of an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Entity = Literal["metric", "param", "tag", "attribute", "dataset"]
Operator = Literal["=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"]


@dataclass(frozen=True, slots=True)
class Field:
    """What is compared or sorted by; of an attribute, ``key`` is its canonical name."""

    entity: Entity
    key: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``; the value is a tuple for IN and NOT IN, null for IS NULL and IS NOT NULL."""

    field: Field
    operator: Operator
    value: float | str | tuple[str, ...] | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class And:
    """All of the operands hold; none at all is true."""

    operands: tuple[Expression, ...]


Expression = Comparison | And


@dataclass(frozen=True, slots=True)
class OrderTerm:
    field: Field
    descending: bool = False
