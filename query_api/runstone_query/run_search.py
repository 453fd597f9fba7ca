"""A search for runs: what is asked, checked, and a page of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from runstone.events.artifact_roots import ArtifactRoot
from runstone_query import experiments, inputs, pagination, run_documents
from runstone_query.configuration import PAGE_DEFAULT, PAGE_MAX
from runstone_query.problems import Problem, invalid
from runstone_query.search.ast import Expression, OrderTerm
from runstone_query.search.compile import compile_search, sort_types
from runstone_query.search.errors import SearchError
from runstone_query.search.parser import parse_filter, parse_order
from runstone_query.search.runs import LANGUAGE, RUNS, Scope
from runstone_query.snapshot import Snapshot

FIELDS: Final = (
    "experiment_names", "experiment_ids", "filter", "order_by", "view", "limit", "page_token",
)  # fmt: skip

_TERMS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class RunSearch:
    """Attributes:
    names, ids: of the experiments to search; both null means all, both empty none.
    query: a hash of everything but the page, by which a page token knows its search.
    """

    names: list[str] | None
    ids: list[int] | None
    expression: Expression
    terms: list[OrderTerm]
    stage: Literal["active", "deleted"] | None
    limit: int
    page_token: str | None
    query: str


def checked(body: Mapping[str, object]) -> RunSearch:
    """The search that *body* asks for. Raises the 400 problem that names what is wrong."""
    names, ids = body.get("experiment_names"), body.get("experiment_ids")
    view = inputs.choice("view", body.get("view", "active"), ("active", "deleted", "all"))
    token = body.get("page_token")
    return RunSearch(
        None if names is None else inputs.texts("experiment_names", names),
        None if ids is None else inputs.experiment_ids("experiment_ids", ids),
        _filter(body.get("filter", "")),
        _order(body.get("order_by", [])),
        None if view == "all" else cast("Literal['active', 'deleted']", view),
        inputs.integer("limit", body.get("limit", PAGE_DEFAULT), 1, PAGE_MAX),
        None if token is None else inputs.text("page_token", token),
        pagination.query_hash(
            [body.get(name) for name in FIELDS if name not in {"limit", "page_token", "view"}] + [view]
        ),
    )


def _filter(found: object) -> Expression:
    text = inputs.text("filter", found if found is not None else "")
    try:
        return parse_filter(text, LANGUAGE)
    except SearchError as wrong:
        raise _wrong("filter", wrong) from None


def _order(found: object) -> list[OrderTerm]:
    terms: list[OrderTerm] = []
    for n, text in enumerate(inputs.texts("order_by", found if found is not None else [], 0, _TERMS_MAX)):
        try:
            term = parse_order(text, LANGUAGE)
        except SearchError as wrong:
            raise _wrong(f"order_by[{n}]", wrong) from None
        if any(term.field == other.field for other in terms):
            raise invalid(f"order_by[{n}]", text, "each field once")
        terms.append(term)
    return terms


def _wrong(field: str, wrong: SearchError) -> Problem:
    return Problem(
        400,
        "invalid-input",
        f"{field}, {wrong}",
        field=field,
        found=wrong.found,
        accepted=wrong.accepted,
    )


async def page(snapshot: Snapshot, search: RunSearch, artifact_root: ArtifactRoot | None) -> dict[str, Any]:
    """A page of runs, and the token of the next one where there is more."""
    after = None
    if search.page_token is not None:
        after = pagination.decode(
            search.page_token, snapshot.generation, search.query, sort_types(RUNS, search.terms)
        )
    scope = Scope(await _experiment_ids(snapshot, search), search.stage)
    statement = compile_search(
        RUNS, search.expression, search.terms, scope.conditions, search.limit + 1, after
    )
    rows = await snapshot.rows(statement.sql, *statement.arguments)
    shown = rows[: search.limit]
    documents = await run_documents.load(snapshot, [row[0] for row in shown], artifact_root)
    following = len(rows) > search.limit
    return {
        "runs": documents,
        "next_page_token": (
            pagination.encode(snapshot.generation, search.query, list(shown[-1])[1:]) if following else None
        ),
    }


async def _experiment_ids(snapshot: Snapshot, search: RunSearch) -> list[int] | None:
    if search.names is None and search.ids is None:
        return None
    named = await experiments.ids_of(snapshot, search.names) if search.names else []
    return [*named, *(search.ids or [])]
