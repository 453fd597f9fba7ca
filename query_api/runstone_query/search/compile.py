"""Turns a filter's tree, an order and a place to go on from into one parameterised statement.

Every piece of SQL is a named block of ``search.sql``; what the user wrote goes into the list of arguments
and is named in the SQL by its number only. The schema's name stays open (``{schema}``): it is filled in by
the snapshot, when the generation is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from runstone_query.search.ast import And, Comparison, Expression, Field, OrderTerm
from runstone_query.search.fields import value_kind
from runstone_query.statements import fill, pieces

ColumnType = Literal["text", "bigint", "float8", "boolean"]
SortValue = str | int | float | bool | None

_BLOCKS: Final = pieces(__file__, "search.sql")

_TAIL: Final = (
    OrderTerm(Field("attribute", "start_time"), descending=True),
    OrderTerm(Field("attribute", "run_id")),
)
"""Ends every order, so that it is total and equal rows never swap between pages."""

_SQL_OPERATORS: Final[Mapping[str, str]] = {
    "=": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "LIKE": "LIKE", "ILIKE": "ILIKE",
    "IN": "= ANY", "NOT IN": "<> ALL",
}  # fmt: skip


@dataclass(slots=True)
class Arguments:
    """The values of a statement, each with the number it is called by."""

    values: list[object] = field(default_factory=list)

    def add(self, value: object) -> str:
        """The placeholder of *value*."""
        self.values.append(value)
        return f"${len(self.values)}"


@dataclass(frozen=True, slots=True)
class SortColumn:
    """One column of an ORDER BY; nulls come last in either direction."""

    sql: str
    descending: bool
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs are looked at before the filter is: null means all of them."""

    experiment_ids: Sequence[int] | None = None
    lifecycle_stage: Literal["active", "deleted"] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A statement that answers ``(run_id, sort columns…)``, and its arguments."""

    sql: str
    arguments: list[object]


def total_order(terms: Sequence[OrderTerm]) -> tuple[OrderTerm, ...]:
    """*terms* with the tail that makes them total: start_time DESC, run_id."""
    named = {term.field for term in terms}
    return (*terms, *(term for term in _TAIL if term.field not in named))


def sort_types(terms: Sequence[OrderTerm]) -> list[ColumnType]:
    """The types of the columns that `compile_search` returns after the run id, for *terms* made total."""
    return [column.type for column in _sorting(total_order(terms), Arguments())[0]]


def compile_search(
    expression: Expression,
    terms: Sequence[OrderTerm],
    scope: Scope,
    limit: int,
    after: Sequence[SortValue] | None = None,
) -> Search:
    """The statement that finds at most *limit* runs.

    Args:
        expression: the filter.
        terms: the order, without its tail.
        scope: what is looked at.
        limit: how many rows.
        after: the sort columns of the last row already seen, as that row had them; null for the first page.
    """
    arguments = Arguments()
    columns, joins = _sorting(total_order(terms), arguments)
    conditions = [_condition(expression, arguments)]
    if scope.experiment_ids is not None:
        conditions.append(fill(_BLOCKS["in_experiments"], ids=arguments.add(list(scope.experiment_ids))))
    if scope.lifecycle_stage is not None:
        conditions.append(fill(_BLOCKS["in_lifecycle_stage"], stage=arguments.add(scope.lifecycle_stage)))
    if after is not None:
        conditions.append(_after(columns, after, arguments))
    sql = fill(
        _BLOCKS["search_runs"],
        columns=", ".join(["r.run_id", *(column.sql for column in columns)]),
        joins="\n".join(joins),
        conditions="\n  AND ".join(conditions),
        order=", ".join(
            f"{column.sql} {'DESC' if column.descending else 'ASC'} NULLS LAST" for column in columns
        ),
        limit=f"{arguments.add(limit)}::bigint",
    )
    return Search(sql, arguments.values)


def _condition(expression: Expression, arguments: Arguments) -> str:
    if isinstance(expression, And):
        return " AND ".join(_condition(operand, arguments) for operand in expression.operands) or "true"
    return _comparison(expression, arguments)


def _comparison(comparison: Comparison, arguments: Arguments) -> str:
    entity, key = comparison.field.entity, comparison.field.key
    operator = _SQL_OPERATORS[comparison.operator]
    value = _value(comparison, arguments)
    if entity == "attribute":
        return fill(
            _BLOCKS["attribute_compared"], column=_BLOCKS[f"attribute_{key}"], operator=operator, value=value
        )
    if entity == "metric":
        return fill(
            _BLOCKS["metric_compared"],
            key=arguments.add(key),
            operator=operator,
            value=value,
            nan="true" if comparison.operator == "!=" else "false",
        )
    block = _BLOCKS[f"{entity}_equals" if comparison.operator == "=" else f"{entity}_compared"]
    return fill(block, key=arguments.add(key), operator=operator, value=value)


def _value(comparison: Comparison, arguments: Arguments) -> str:
    if isinstance(comparison.value, tuple):
        return f"({arguments.add(list(comparison.value))}::text[])"
    if value_kind(comparison.field) == "number":
        return f"{arguments.add(comparison.value)}::float8"
    placeholder = f"{arguments.add(comparison.value)}::text"
    # MLflow's patterns know % and _ and no escape; with one, a pattern that ends in it would be an error
    return f"{placeholder} ESCAPE ''" if comparison.operator in {"LIKE", "ILIKE"} else placeholder


def _sorting(terms: Sequence[OrderTerm], arguments: Arguments) -> tuple[list[SortColumn], list[str]]:
    columns: list[SortColumn] = []
    joins: list[str] = []
    for n, term in enumerate(terms):
        entity, key = term.field.entity, term.field.key
        if entity == "attribute":
            kind: ColumnType = "bigint" if value_kind(term.field) == "number" else "text"
            columns.append(SortColumn(_BLOCKS[f"attribute_{key}"], term.descending, kind))
            continue
        alias = f"o{n}"
        joins.append(fill(_BLOCKS[f"{entity}_joined"], alias=alias, key=arguments.add(key)))
        if entity == "metric":
            value = fill(_BLOCKS["metric_value"], alias=alias)
            columns.append(SortColumn(fill(_BLOCKS["is_nan"], value=value), descending=False, type="boolean"))
            columns.append(SortColumn(value, term.descending, "float8"))
        else:
            columns.append(SortColumn(fill(_BLOCKS["joined_value"], alias=alias), term.descending, "text"))
    return columns, joins


def _after(columns: Sequence[SortColumn], values: Sequence[SortValue], arguments: Arguments) -> str:
    """The rows beyond *values*: beyond in the first column, or equal there and beyond in the next, …"""
    beyond = "false"
    for column, value in reversed(list(zip(columns, values, strict=True))):
        if value is None:
            same = fill(_BLOCKS["same_null"], column=column.sql)
            beyond = f"({same} AND {beyond})"
            continue
        placeholder = f"{arguments.add(value)}::{column.type}"
        same = fill(_BLOCKS["same"], column=column.sql, value=placeholder)
        further = fill(
            _BLOCKS["after"],
            column=column.sql,
            operator="<" if column.descending else ">",
            value=placeholder,
        )
        beyond = f"({further} OR ({same} AND {beyond}))"
    return beyond
