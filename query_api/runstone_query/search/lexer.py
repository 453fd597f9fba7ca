"""Cuts a filter or order into tokens.

A name is ``entity.key`` or ``key``; the key may hold further dots, and any character where it is quoted, by
backticks best; a bare key only by these, for in other quotes it is a string. A string stands in single or
double quotes. A quote within quotes is doubled.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runstone_query.search.errors import SearchError, shown


class Kind(Enum):
    """What a token is; the value is how a message calls it."""

    NAME = "a name"
    STRING = "a string"
    NUMBER = "a number"
    OPERATOR = "an operator"
    KEYWORD = "a keyword"
    OPEN = "'('"
    CLOSE = "')'"
    COMMA = "','"
    END = "the end"


KEYWORDS: Final = frozenset({"AND", "LIKE", "ILIKE", "IN", "NOT", "IS", "NULL", "ASC", "DESC"})


@dataclass(frozen=True, slots=True)
class Token:
    """Attributes:
    text: the operator, the keyword in capitals, the string without its quotes, the number as written;
        of a name what stands before the first dot, or all of it where there is none.
    key: of a name what stands after the first dot, without quotes; null where there is no dot.
    position: index of its first character. written: its characters, as they stand in the text.
    """

    kind: Kind
    text: str
    position: int
    written: str
    key: str | None = None

    def __str__(self) -> str:
        return "the end" if self.kind is Kind.END else shown(self.written)


_SPACE: Final = re.compile(r"\s+")
_NAME: Final = re.compile(
    r"""(?P<entity>[^\W\d]\w*) (?: \. (?:
            `(?P<ticked>(?:[^`]|``)+)` | "(?P<double>(?:[^"]|"")+)" | '(?P<single>(?:[^']|'')+)'
          | (?P<plain>\w+(?:\.\w+)*) ) )?
        | `(?P<bare>(?:[^`]|``)+)`""",
    re.VERBOSE,
)
_QUOTES: Final = {"ticked": "`", "double": '"', "single": "'", "plain": ""}
_STRING: Final = re.compile(r"""'(?P<single>(?:[^']|'')*)'|"(?P<double>(?:[^"]|"")*)\"""")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_OPERATOR: Final = re.compile(r"(?:>=|<=|!=|=|>|<)(?![=<>!])")
_SINGLE: Final = {"(": Kind.OPEN, ")": Kind.CLOSE, ",": Kind.COMMA}


def tokens(text: str) -> list[Token]:
    """The tokens of *text*, the last of them END. Raises `SearchError` at what is none."""
    _refuse_unstorable(text)
    found: list[Token] = []
    at = 0
    while True:
        if space := _SPACE.match(text, at):
            at = space.end()
        if at == len(text):
            found.append(Token(Kind.END, "", at, ""))
            return found
        token = _token(text, at)
        at += len(token.written)
        found.append(token)


def _refuse_unstorable(text: str) -> None:
    """Postgres holds neither NUL nor half of a surrogate pair, so nothing could ever equal them."""
    for at, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise SearchError(at, f"the character U+{ord(character):04X}", "text without it")


def _token(text: str, at: int) -> Token:
    if match := _NAME.match(text, at):
        return _name(match, text)
    if match := _STRING.match(text, at):
        single = match["single"]
        value = single.replace("''", "'") if single is not None else match["double"].replace('""', '"')
        return Token(Kind.STRING, value, at, match[0])
    if match := _NUMBER.match(text, at):
        return Token(Kind.NUMBER, match[0], at, match[0])
    if match := _OPERATOR.match(text, at):
        return Token(Kind.OPERATOR, match[0], at, match[0])
    if kind := _SINGLE.get(text[at]):
        return Token(kind, text[at], at, text[at])
    if text[at] in "'\"`":
        raise SearchError(at, f"the unclosed string {shown(text[at:])}", f"a closing {text[at]}")
    word = re.compile(r"\S+").match(text, at)
    assert word is not None
    raise SearchError(
        at, shown(word[0]), "a name such as metrics.accuracy, an operator, a number or a quoted string"
    )


def _name(match: re.Match[str], text: str) -> Token:
    entity, written, at = match["entity"], match[0], match.start()
    if text[match.end() : match.end() + 1] in {".", "`"}:
        raise SearchError(
            match.end(),
            shown(text[match.end() : match.end() + 20]),
            "a key; one with unusual characters stands in backticks or double quotes, as in metrics.`a b`",
        )
    if entity is None:
        return Token(Kind.NAME, match["bare"].replace("``", "`"), at, written)
    for group, quote in _QUOTES.items():
        if (key := match[group]) is not None:
            return Token(Kind.NAME, entity, at, written, key.replace(quote * 2, quote) if quote else key)
    if entity.upper() in KEYWORDS:
        return Token(Kind.KEYWORD, entity.upper(), at, written)
    return Token(Kind.NAME, entity, at, written)
