"""Pages of a search: the statement of one page, and the token of the next, which holds where this ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runstone_query import pagination
from runstone_query.search.ast import Expression, OrderTerm
from runstone_query.search.compile import Condition, Target, compile_search, sort_types
from runstone_query.snapshot import Snapshot
from runstone_query.statements import fill


@dataclass(frozen=True, slots=True)
class Sought:
    """A search and which of its pages is wanted.

    Attributes:
        query: what is asked, by which a token knows its search; the page is no part of it.
        page_token: empty for the first page.
        more: further arguments, by the names that the pieces of SQL leave open for them.
        identity: how many columns name what is found.
    """

    target: Target
    expression: Expression
    terms: Sequence[OrderTerm]
    scope: Sequence[Condition]
    query: object
    limit: int
    page_token: str
    more: Mapping[str, object] = field(default_factory=dict)
    identity: int = 1


async def page(snapshot: Snapshot, sought: Sought) -> tuple[list[tuple[Any, ...]], dict[str, str]]:
    """What names the things on the page, and ``next_page_token`` where there is more.

    Raises:
        Problem: 400 for a token that is of another search.
    """
    query, after = pagination.query_hash(sought.query), None
    if sought.page_token:
        types = sort_types(sought.target, sought.terms)
        after = pagination.decode(sought.page_token, snapshot.generation, query, types)
    found = compile_search(
        sought.target, sought.expression, sought.terms, sought.scope, sought.limit + 1, after
    )
    arguments = [*found.arguments, *sought.more.values()]
    numbered = {name: f"${len(found.arguments) + n}" for n, name in enumerate(sought.more, 1)}
    rows = [tuple(row) for row in await snapshot.rows(fill(found.sql, **numbered), *arguments)]
    shown = rows[: sought.limit]
    following: dict[str, str] = {}
    if len(rows) > sought.limit:
        last = shown[-1][sought.identity :]
        following["next_page_token"] = pagination.encode(snapshot.generation, query, last)
    return [row[: sought.identity] for row in shown], following
