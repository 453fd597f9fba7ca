"""Turns a filter's tree, an order and a place to go on from into one parameterised statement.

Every piece of SQL is a named block of a ``.sql`` file; what the user wrote goes into the list of arguments
and is named in the SQL by its number only. The schema's name stays open (``{schema}``): it is filled in by
the snapshot, when the generation is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from runstone_query.search.ast import And, Comparison, Expression, Field, OrderTerm
from runstone_query.search.language import Kind, Language
from runstone_query.statements import fill, pieces

ColumnType = Literal["text", "bigint", "float8", "boolean"]
SortValue = str | int | float | bool | None

Condition = tuple[str, object]
"""The name of a block that is a condition with one open ``{value}``, and the argument for it."""

_BLOCKS: Final = pieces(__file__, "search.sql")

_SQL_OPERATORS: Final[Mapping[str, str]] = {
    "=": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "LIKE": "LIKE", "ILIKE": "ILIKE",
    "IN": "= ANY", "NOT IN": "<> ALL",
}  # fmt: skip

_TYPES: Final[Mapping[Kind, str]] = {
    "number": "float8",
    "integer": "bigint",
    "text": "text",
    "digits": "bigint",
    "numeral": "bigint",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is searched.

    Attributes:
        language: its fields.
        blocks: its pieces of SQL, by these names; each may have the names in braces open, and ``{schema}``:

            - ``search {columns} {joins} {conditions} {order} {limit}``: the statement;
              ``identity``: the column that it answers first;
            - ``attribute_<name>``: the value of an attribute;
            - ``<entity>_compared {key} {operator} {value}`` for params, tags and metrics (these also
              ``{nan}``), ``<entity>_equals`` the same for ``=`` where an index helps,
              ``<entity>_present {key}`` where IS NULL is an operator;
            - ``dataset_<key>`` and ``dataset_compared {column} {operator} {value}``;
            - ``<entity>_joined {alias} {key}`` and ``<entity>_value {alias}`` where an order may name it;
            - for derived tags ``tag_derived_compared {key} {derived} {operator} {value}``,
              ``tag_derived_present {key} {derived}``, ``tag_derived_value {alias} {derived}``.
        tail: ends every order, so that it is total and equal rows never swap between pages.
        derived: tags that a thing has without having been given them: key -> block with the value.
    """

    language: Language
    blocks: Mapping[str, str]
    tail: tuple[OrderTerm, ...]
    derived: Mapping[str, str] = field(default_factory=dict)


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
class Search:
    """A statement that answers ``(identity, sort columns…)``, and its arguments."""

    sql: str
    arguments: list[object]


def total_order(target: Target, terms: Sequence[OrderTerm]) -> tuple[OrderTerm, ...]:
    """*terms* with the tail that makes them total."""
    named = {term.field for term in terms}
    return (*terms, *(term for term in target.tail if term.field not in named))


def sort_types(target: Target, terms: Sequence[OrderTerm]) -> list[ColumnType]:
    """The types of the columns that `compile_search` returns after the identity, for *terms* made total."""
    return [column.type for column in _sorting(target, total_order(target, terms), Arguments())[0]]


def compile_search(
    target: Target,
    expression: Expression,
    terms: Sequence[OrderTerm],
    scope: Sequence[Condition],
    limit: int,
    after: Sequence[SortValue] | None = None,
) -> Search:
    """The statement that finds at most *limit* things.

    Args:
        target: what is searched.
        expression: the filter.
        terms: the order, without its tail.
        scope: what is looked at before the filter is.
        limit: how many rows.
        after: the sort columns of the last row already seen, as that row had them; null for the first page.
    """
    arguments = Arguments()
    columns, joins = _sorting(target, total_order(target, terms), arguments)
    conditions = [condition(target, expression, arguments)]
    conditions += [fill(target.blocks[block], value=arguments.add(value)) for block, value in scope]
    if after is not None:
        conditions.append(_after(columns, after, arguments))
    sql = fill(
        target.blocks["search"],
        columns=", ".join([target.blocks["identity"], *(column.sql for column in columns)]),
        joins="\n".join(joins),
        conditions="\n  AND ".join(conditions),
        order=", ".join(
            f"{column.sql} {'DESC' if column.descending else 'ASC'} NULLS LAST" for column in columns
        ),
        limit=f"{arguments.add(limit)}::bigint",
    )
    return Search(sql, arguments.values)


def condition(target: Target, expression: Expression, arguments: Arguments) -> str:
    """The SQL condition of *expression*; its values are added to *arguments*."""
    if isinstance(expression, And):
        operands = [condition(target, operand, arguments) for operand in expression.operands]
        return " AND ".join(operands) or "true"
    return _comparison(target, expression, arguments)


def _comparison(target: Target, comparison: Comparison, arguments: Arguments) -> str:
    entity, key = comparison.field.entity, comparison.field.key
    blocks = target.blocks
    derived = {"derived": blocks[target.derived[key]]} if entity == "tag" and key in target.derived else {}
    if comparison.operator in {"IS NULL", "IS NOT NULL"}:
        present = blocks["tag_derived_present" if derived else f"{entity}_present"]
        found = fill(present, key=arguments.add(key), **derived)
        return f"(NOT {found})" if comparison.operator == "IS NULL" else found
    operator = _SQL_OPERATORS[comparison.operator]
    value = _value(target, comparison, arguments)
    if entity == "attribute":
        column = blocks[f"attribute_{key}"]
        return fill(_BLOCKS["attribute_compared"], column=column, operator=operator, value=value)
    if entity == "dataset":
        column = blocks[f"dataset_{key}"]
        return fill(blocks["dataset_compared"], column=column, operator=operator, value=value)
    if derived:
        block = blocks["tag_derived_compared"]
    elif comparison.operator == "=" and f"{entity}_equals" in blocks:
        block = blocks[f"{entity}_equals"]
    else:
        block = blocks[f"{entity}_compared"]
    nan = "true" if comparison.operator == "!=" else "false"
    return fill(block, key=arguments.add(key), operator=operator, value=value, nan=nan, **derived)


def _value(target: Target, comparison: Comparison, arguments: Arguments) -> str:
    type_ = _TYPES[target.language.kind(comparison.field)]
    if isinstance(comparison.value, tuple):
        return f"({arguments.add(list(comparison.value))}::{type_}[])"
    placeholder = f"{arguments.add(comparison.value)}::{type_}"
    # MLflow's patterns know % and _ and no escape; with one, a pattern that ends in it would be an error
    return f"{placeholder} ESCAPE ''" if comparison.operator in {"LIKE", "ILIKE"} else placeholder


def _sorting(
    target: Target, terms: Sequence[OrderTerm], arguments: Arguments
) -> tuple[list[SortColumn], list[str]]:
    columns: list[SortColumn] = []
    joins: list[str] = []
    blocks = target.blocks
    for n, term in enumerate(terms):
        entity, key = term.field.entity, term.field.key
        if entity == "attribute":
            kind: ColumnType = "text" if target.language.kind(term.field) == "text" else "bigint"
            columns.append(SortColumn(blocks[f"attribute_{key}"], term.descending, kind))
            continue
        alias = f"o{n}"
        joins.append(fill(blocks[f"{entity}_joined"], alias=alias, key=arguments.add(key)))
        if entity == "metric":
            value = fill(blocks["metric_value"], alias=alias)
            columns.append(SortColumn(fill(_BLOCKS["is_nan"], value=value), descending=False, type="boolean"))
            columns.append(SortColumn(value, term.descending, "float8"))
        else:
            columns.append(SortColumn(_joined_value(target, term.field, alias), term.descending, "text"))
    return columns, joins


def _joined_value(target: Target, named: Field, alias: str) -> str:
    if named.entity == "tag" and named.key in target.derived:
        derived = target.blocks[target.derived[named.key]]
        return fill(target.blocks["tag_derived_value"], alias=alias, derived=derived)
    return fill(target.blocks[f"{named.entity}_value"], alias=alias)


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
