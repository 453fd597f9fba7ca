"""Reads a filter or an order into its tree, by recursive descent.

filter     := [conjunction]
conjunction:= comparison (AND comparison)*
comparison := name operator value | name [NOT] IN '(' string (',' string)* ')'
order term := name [ASC | DESC]
"""

from collections.abc import Sequence
from typing import Final

from runstone_query.search.ast import And, Comparison, Expression, Field, Operator, OrderTerm
from runstone_query.search.errors import SearchError
from runstone_query.search.fields import ENTITIES_ACCEPTED, field_of, operators, value_kind
from runstone_query.search.lexer import Kind, Token, tokens

COMPARISONS_MAX: Final = 100
"""Each comparison is a join of its own; beyond this a planner takes longer than any answer is worth."""


def parse_filter(text: str) -> Expression:
    """The tree of a filter; an empty text is the conjunction of nothing. Raises `SearchError`."""
    reader = _Reader(tokens(text))
    operands: list[Expression] = []
    if reader.ended:
        return And(())
    while True:
        if len(operands) == COMPARISONS_MAX:
            raise SearchError(reader.next.position, "more of them", f"at most {COMPARISONS_MAX} comparisons")
        operands.append(_comparison(reader))
        if reader.ended:
            return And(tuple(operands))
        reader.take(Kind.KEYWORD, "AND or the end", "AND")


def parse_order(text: str) -> OrderTerm:
    """One term of an order, such as ``metrics.accuracy DESC``. Raises `SearchError`."""
    reader = _Reader(tokens(text))
    field = field_of(reader.take(Kind.NAME, ENTITIES_ACCEPTED))
    descending = False
    if not reader.ended:
        descending = reader.take(Kind.KEYWORD, "ASC, DESC or the end", "ASC", "DESC").text == "DESC"
    reader.take(Kind.END, "the end of this term")
    return OrderTerm(field, descending)


class _Reader:
    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    @property
    def ended(self) -> bool:
        return self.next.kind is Kind.END

    def take(self, kind: Kind, accepted: str, *texts: str) -> Token:
        token = self.next
        if token.kind is not kind or (texts and token.text not in texts):
            raise SearchError(token.position, str(token), accepted)
        if kind is not Kind.END:
            self._at += 1
        return token


def _comparison(reader: _Reader) -> Comparison:
    field = field_of(reader.take(Kind.NAME, ENTITIES_ACCEPTED))
    operator = _operator(reader, field)
    if operator in {"IN", "NOT IN"}:
        return Comparison(field, operator, _list(reader))
    if value_kind(field) == "number":
        # a float is exact for every time in milliseconds, and any number of digits becomes one
        return Comparison(field, operator, float(reader.take(Kind.NUMBER, "a number").text))
    return Comparison(field, operator, reader.take(Kind.STRING, "a string in quotes").text)


def _operator(reader: _Reader, field: Field) -> Operator:
    accepted = operators(field)
    token = reader.next
    if token.kind not in {Kind.OPERATOR, Kind.KEYWORD}:
        raise SearchError(token.position, str(token), f"one of the operators {', '.join(accepted)}")
    text = reader.take(token.kind, "an operator").text
    if text == "NOT":
        reader.take(Kind.KEYWORD, "IN", "IN")
        text = "NOT IN"
    if text not in accepted:
        raise SearchError(token.position, str(token), f"one of the operators {', '.join(accepted)}")
    return text


def _list(reader: _Reader) -> tuple[str, ...]:
    reader.take(Kind.OPEN, "'(' and strings in quotes")
    values = [reader.take(Kind.STRING, "a string in quotes").text]
    while reader.next.kind is Kind.COMMA:
        reader.take(Kind.COMMA, "','")
        values.append(reader.take(Kind.STRING, "a string in quotes").text)
    reader.take(Kind.CLOSE, "',' or ')'")
    return tuple(values)
