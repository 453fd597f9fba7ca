"""Reads a filter or an order into its tree, by recursive descent.

filter     := [conjunction]
conjunction:= comparison (AND comparison)*
comparison := name operator value | name [NOT] IN '(' string (',' string)* [','] ')' | name IS [NOT] NULL
order term := name [ASC | DESC]
"""

import re
from collections.abc import Sequence
from typing import Final

from runstone_query.search.ast import And, Comparison, Expression, Field, Operator, OrderTerm
from runstone_query.search.errors import SearchError
from runstone_query.search.language import Language
from runstone_query.search.lexer import Kind, Token, tokens

COMPARISONS_MAX: Final = 100
"""Each comparison is a join of its own; beyond this a planner takes longer than any answer is worth."""

_BIGINT_MAX: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_DIGITS: Final = "an integer in quotes"


def parse_filter(text: str, language: Language) -> And:
    """The tree of a filter; an empty text is the conjunction of nothing. Raises `SearchError`."""
    reader = _Reader(tokens(text), language)
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


def parse_order(text: str, language: Language) -> OrderTerm:
    """One term of an order, such as ``metrics.accuracy DESC``. Raises `SearchError`."""
    reader = _Reader(tokens(text), language)
    field = language.field_of(reader.take(Kind.NAME, language.accepted), sorting=True)
    descending = False
    if not reader.ended:
        descending = reader.take(Kind.KEYWORD, "ASC, DESC or the end", "ASC", "DESC").text == "DESC"
    reader.take(Kind.END, "the end of this term")
    return OrderTerm(field, descending)


class _Reader:
    def __init__(self, found: Sequence[Token], language: Language) -> None:
        self._tokens = found
        self._at = 0
        self.language = language

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

    def passes(self, kind: Kind) -> bool:
        """Whether the next token is of *kind*; it is then behind us."""
        found = self.next.kind is kind
        self._at += found
        return found


def _comparison(reader: _Reader) -> Comparison:
    language = reader.language
    field = language.field_of(reader.take(Kind.NAME, language.accepted))
    operator = _operator(reader, field)
    kind = language.kind(field)
    if operator in {"IS NULL", "IS NOT NULL"}:
        return Comparison(field, operator, None)
    if operator in {"IN", "NOT IN"}:
        strings = _list(reader)
        if kind == "digits":
            return Comparison(field, operator, tuple(_integer(string, _DIGITS) for string in strings))
        return Comparison(field, operator, tuple(string.text for string in strings))
    if kind == "numeral" and reader.next.kind is Kind.STRING:
        return Comparison(field, operator, _integer(reader.take(Kind.STRING, _DIGITS), _DIGITS))
    if kind in {"integer", "numeral"}:
        return Comparison(field, operator, _integer(reader.take(Kind.NUMBER, "an integer"), "an integer"))
    if kind == "number":
        # a float is exact for every time in milliseconds, and any number of digits becomes one
        return Comparison(field, operator, float(reader.take(Kind.NUMBER, "a number").text))
    string = reader.take(Kind.STRING, "a string in quotes")
    return Comparison(field, operator, _integer(string, _DIGITS) if kind == "digits" else string.text)


def _operator(reader: _Reader, field: Field) -> Operator:
    accepted = reader.language.operators_of(field)
    token = reader.next
    if token.kind not in {Kind.OPERATOR, Kind.KEYWORD}:
        raise SearchError(token.position, str(token), f"one of the operators {', '.join(accepted)}")
    text = reader.take(token.kind, "an operator").text
    if text == "NOT":
        reader.take(Kind.KEYWORD, "IN", "IN")
        text = "NOT IN"
    elif text == "IS":
        text = "IS NULL"
        if reader.take(Kind.KEYWORD, "NULL or NOT NULL", "NULL", "NOT").text == "NOT":
            reader.take(Kind.KEYWORD, "NULL", "NULL")
            text = "IS NOT NULL"
    for operator in accepted:
        if operator == text:
            return operator
    raise SearchError(token.position, str(token), f"one of the operators {', '.join(accepted)}")


def _list(reader: _Reader) -> list[Token]:
    reader.take(Kind.OPEN, "'(' and strings in quotes")
    values = [reader.take(Kind.STRING, "a string in quotes")]
    while reader.passes(Kind.COMMA):
        if reader.passes(Kind.CLOSE):  # as Python writes a tuple of one
            return values
        values.append(reader.take(Kind.STRING, "a string in quotes"))
    reader.take(Kind.CLOSE, "',' or ')'")
    return values


def _integer(token: Token, accepted: str) -> int:
    if _INTEGER.fullmatch(token.text) and -_BIGINT_MAX <= int(token.text) <= _BIGINT_MAX:
        return int(token.text)
    raise SearchError(token.position, str(token), accepted)
