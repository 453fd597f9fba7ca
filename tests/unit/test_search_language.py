"""The search language: what is understood, what is refused and where, and that no text becomes SQL."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone_query.mlflow.experiment_language import EXPERIMENTS
from runstone_query.mlflow.run_language import RUNS as MLFLOW_RUNS
from runstone_query.search import compile as compiling
from runstone_query.search import parser
from runstone_query.search.ast import And, Comparison, Field, OrderTerm
from runstone_query.search.compile import Target, compile_search
from runstone_query.search.errors import SearchError
from runstone_query.search.lexer import Kind, tokens
from runstone_query.search.parser import COMPARISONS_MAX
from runstone_query.search.runs import LANGUAGE, RUNS, Scope

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
SCRAPS = st.sampled_from(
    ["metrics", "params.", "tags.`a b`", "attr.", "run_id", "'x'", '"y"', "AND", "and", "IN", "NOT", "(", ")",
     ",", "=", "!=", "<", ">=", "LIKE", "1", "-1.5e3", ".", "`", "'", '"', ";", "--", "$1", "{schema}", "{key}",
     "OR 1=1", "DESC", " ", "\n", "é", "\0", "\ud800", "%", "\\"]
)  # fmt: skip
ANYTHING = st.one_of(st.text(), st.lists(SCRAPS).map(" ".join), st.lists(SCRAPS).map("".join))


def parse_filter(text: str) -> And:
    return parser.parse_filter(text, LANGUAGE)


def parse_order(text: str) -> OrderTerm:
    return parser.parse_order(text, LANGUAGE)


def sort_types(terms: list[OrderTerm]) -> list[str]:
    return list(compiling.sort_types(RUNS, terms))


def comparison(text: str) -> Comparison:
    tree = parse_filter(text)
    assert isinstance(tree, And)
    (found,) = tree.operands
    assert isinstance(found, Comparison)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.acc > 0.5", Comparison(Field("metric", "acc"), ">", 0.5)),
        ("METRIC.acc<=-1e3", Comparison(Field("metric", "acc"), "<=", -1000.0)),
        ("metrics.model.top_5 = 1", Comparison(Field("metric", "model.top_5"), "=", 1.0)),
        ('metrics.`a "b` >= .5', Comparison(Field("metric", 'a "b'), ">=", 0.5)),
        ('params."a `b" = "x"', Comparison(Field("param", "a `b"), "=", "x")),
        ("parameter.lr LIKE '0.%'", Comparison(Field("param", "lr"), "LIKE", "0.%")),
        ("tags.t ilike 'it''s'", Comparison(Field("tag", "t"), "ILIKE", "it's")),
        ('tag.t != "say ""hi"""', Comparison(Field("tag", "t"), "!=", 'say "hi"')),
        ("status = 'FAILED'", Comparison(Field("attribute", "status"), "=", "FAILED")),
        ("attributes.`Run name` = 'x'", Comparison(Field("attribute", "run_name"), "=", "x")),
        ("`Run name` = 'x'", Comparison(Field("attribute", "run_name"), "=", "x")),
        ("tags.'a''b' = 'x'", Comparison(Field("tag", "a'b"), "=", "x")),
        ("run_id IN ('a',)", Comparison(Field("attribute", "run_id"), "IN", ("a",))),
        ("run.created < 5", Comparison(Field("attribute", "start_time"), "<", 5.0)),
        ("attr.run_id in ('a' ,'b')", Comparison(Field("attribute", "run_id"), "IN", ("a", "b"))),
        ("run_id NOT  IN ('a')", Comparison(Field("attribute", "run_id"), "NOT IN", ("a",))),
        ("params.lr IS NULL", Comparison(Field("param", "lr"), "IS NULL", None)),
        ("tags.is is not null", Comparison(Field("tag", "is"), "IS NOT NULL", None)),
        ("datasets.context = 'train'", Comparison(Field("dataset", "context"), "=", "train")),
        ("dataset.name IN ('a')", Comparison(Field("dataset", "name"), "IN", ("a",))),
        ("tags.and = 'AND'", Comparison(Field("tag", "and"), "=", "AND")),
    ],
)
def test_a_comparison_is_read(text: str, expected: Comparison) -> None:
    assert comparison(text) == expected


def test_comparisons_are_joined_by_and_and_nothing_is_true_of_all() -> None:
    tree = parse_filter("metrics.a > 1 AND params.b = 'x' and status != 'KILLED'")
    assert isinstance(tree, And)
    assert len(tree.operands) == 3
    assert parse_filter(" \n ") == And(())


@pytest.mark.parametrize(
    ("text", "position", "found", "accepted"),
    [
        ("metrics.a", 9, "the end", "operators"),
        ("metrics.a >", 11, "the end", "a number"),
        ("metrics.a > 'x'", 12, "'x'", "a number"),
        ("params.a = 1", 11, "1", "a string in quotes"),
        ("params.a > 'x'", 9, ">", "=, !=, LIKE, ILIKE"),
        ("metrics.a LIKE 'x'", 10, "LIKE", "<="),
        ("metrics.a > 1 OR metrics.b > 2", 14, "OR", "AND or the end"),
        ("metrics.a > 1 metrics.b > 2", 14, "metrics.b", "AND or the end"),
        ("metric.a > 1 AND", 16, "the end", "metrics."),
        ("nothing.a = 'x'", 0, "nothing", "metrics., params., tags., datasets. or attributes."),
        ("nothing = 'x'", 0, "nothing", "start_time"),
        ("attributes.speed = 1", 0, "speed", "start_time"),
        ("status IN ('x')", 7, "IN", "=, !=, LIKE, ILIKE"),
        ("run_id IN 'x'", 10, "x", "'('"),
        ("run_id IN ()", 11, ")", "a string in quotes"),
        ("run_id IN ('x'", 14, "the end", "')'"),
        ("run_id NOT LIKE 'x'", 11, "LIKE", "IN"),
        ("metrics.a IS NULL", 10, "IS", "<="),
        ("params.a IS 'x'", 12, "x", "NULL"),
        ("params.a IS NOT", 15, "the end", "NULL"),
        ("datasets.size = 'x'", 0, "datasets.size", "name, digest, context"),
        ("metrics.`a > 1", 7, "`a", "backticks"),
        ("tags.a = 'x", 9, "'x", "closing '"),
        ("metrics.a == 1", 10, "==", "operator"),
        ("metrics.a > 1x", 12, "1x", "a number"),
        ("metrics.a > 1; DROP TABLE runs", 13, ";", "an operator"),
        ("tags.a = 'x\0'", 11, "U+0000", "without"),
        (f"metrics.{'k' * 251} > 1", 0, "251 characters", "250"),
    ],
)
def test_what_is_not_understood_is_shown_with_its_place(
    text: str, position: int, found: str, accepted: str
) -> None:
    with pytest.raises(SearchError) as wrong:
        parse_filter(text)
    assert found in wrong.value.found
    assert accepted in wrong.value.accepted
    assert wrong.value.position == position


def test_a_filter_has_a_bounded_number_of_comparisons() -> None:
    most = " AND ".join(["metrics.a > 1"] * COMPARISONS_MAX)
    assert isinstance(parse_filter(most), And)
    with pytest.raises(SearchError, match="at most"):
        parse_filter(most + " AND metrics.a > 1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.acc DESC", OrderTerm(Field("metric", "acc"), descending=True)),
        ("params.`a b` asc", OrderTerm(Field("param", "a b"))),
        ("start_time", OrderTerm(Field("attribute", "start_time"))),
        ("attributes.user_id desc", OrderTerm(Field("attribute", "user"), descending=True)),
    ],
)
def test_a_term_of_an_order_is_read(text: str, expected: OrderTerm) -> None:
    assert parse_order(text) == expected


@pytest.mark.parametrize(
    "text", ["", "metrics.a SIDEWAYS", "metrics.a DESC, metrics.b", "1", "metrics.a ASC DESC"]
)
def test_what_is_no_term_of_an_order_is_refused(text: str) -> None:
    with pytest.raises(SearchError):
        parse_order(text)


@given(ANYTHING)
def test_any_text_is_a_tree_or_an_error_with_a_place_in_it(text: str) -> None:
    for parse in (parse_filter, parse_order):
        try:
            parse(text)
        except SearchError as error:
            wrong = error
        else:
            continue
        assert 0 <= wrong.position <= len(text)
        assert wrong.found
        assert wrong.accepted


@given(KEYS)
def test_any_key_can_be_quoted(key: str) -> None:
    for quote in "`\"'":
        (token, end) = tokens(f"metrics.{quote}{key.replace(quote, quote * 2)}{quote}")
        assert (token.kind, token.text, token.key, end.kind) == (Kind.NAME, "metrics", key, Kind.END)


@given(STRINGS)
def test_any_string_can_be_quoted(text: str) -> None:
    for quote in "'\"":
        assert comparison(f"tags.t = {quote}{text.replace(quote, quote * 2)}{quote}").value == text


@pytest.mark.parametrize("target", [RUNS, MLFLOW_RUNS, EXPERIMENTS])
@given(text=ANYTHING, order=ANYTHING)
def test_every_language_answers_any_text_by_a_statement_or_an_error(
    target: Target, text: str, order: str
) -> None:
    try:
        tree = parser.parse_filter(text, target.language)
        terms = [parser.parse_order(order, target.language)]
    except SearchError:
        return
    found = compile_search(target, tree, terms, [("in_lifecycle_stage", "active")], 10)
    used = {int(number) for number in re.findall(r"\$([0-9]+)", found.sql)}
    assert used == set(range(1, len(found.arguments) + 1))
    assert set(re.findall(r"\{(\w+)\}", found.sql)) <= {"schema"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Metrics.a > 1", "Metrics"),
        ("STATUS = 'x'", "STATUS"),
        ("parent_run_id = 'x'", "parent_run_id"),
        ("status IN ('x')", "IN"),
        ("user = 'x'", "user"),
    ],
)
def test_mlflows_language_has_mlflows_names_only(text: str, found: str) -> None:
    with pytest.raises(SearchError, match=found):
        parser.parse_filter(text, MLFLOW_RUNS.language)


def test_a_tag_that_is_derived_is_searched_where_it_was_not_given() -> None:
    found = compile_search(
        MLFLOW_RUNS, parser.parse_filter("tags.mlflow.user = 'x'", MLFLOW_RUNS.language), [], [], 1
    )
    assert "user_name" in found.sql
    assert "user_name" not in compiled("tags.mlflow.user = 'x'", []).sql


def compiled(filter_text: str, order: list[str], **more: Any) -> Any:
    terms = [parse_order(term) for term in order]
    return compile_search(RUNS, parse_filter(filter_text), terms, [], 10, **more)


@given(KEYS, STRINGS, st.sampled_from(["params", "tags", "metrics"]))
def test_no_character_of_the_users_text_becomes_sql(key: str, text: str, entity: str) -> None:
    quoted = key.replace("`", "``")
    value = "1" if entity == "metrics" else "'" + text.replace("'", "''") + "'"
    ours = compiled(f"{entity}.`{quoted}` = {value}", [f"{entity}.`{quoted}` DESC"])
    reference = compiled(f"{entity}.x = {'1' if entity == 'metrics' else chr(39) * 2}", [f"{entity}.x DESC"])
    assert ours.sql == reference.sql
    assert key in ours.arguments


@given(ANYTHING)
def test_whatever_compiles_has_an_argument_for_each_placeholder(text: str) -> None:
    try:
        tree = parse_filter(text)
    except SearchError:
        return
    found = compile_search(RUNS, tree, [], Scope([1], "active").conditions, 10)
    used = {int(number) for number in re.findall(r"\$([0-9]+)", found.sql)}
    assert used == set(range(1, len(found.arguments) + 1))
    assert set(re.findall(r"\{(\w+)\}", found.sql)) <= {"schema"}


def test_a_page_begins_after_as_many_values_as_the_order_has_columns() -> None:
    terms = [parse_order("metrics.a DESC"), parse_order("params.p")]
    assert sort_types(terms) == ["boolean", "float8", "text", "bigint", "text"]
    found = compiled("", ["metrics.a DESC", "params.p"], after=[True, 1.0, None, 3, "id"])
    assert {"id", 3, 1.0} <= set(found.arguments)


def test_the_end_of_an_order_is_not_repeated() -> None:
    assert sort_types([parse_order("run_id"), parse_order("start_time")]) == ["text", "bigint"]
    assert sort_types([]) == ["bigint", "text"]
