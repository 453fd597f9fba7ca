"""What MLflow's searches ask in common: a filter, an order, experiments, what was deleted."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from runstone.events import limits
from runstone_query.mlflow.asked import Asked
from runstone_query.mlflow.errors import invalid, no_experiment
from runstone_query.search.ast import And, OrderTerm
from runstone_query.search.errors import SearchError
from runstone_query.search.language import Language
from runstone_query.search.parser import parse_filter, parse_order

Stage = Literal["active", "deleted"] | None
"""Null means both."""

_TERMS_MAX: Final = 20

_VIEWS: Final = {"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}
_STAGES: Final[Mapping[int, Stage]] = {1: "active", 2: "deleted", 3: None}

_EXPERIMENT_ID: Final = re.compile(r"-?[0-9]{1,100}")


def parsed_filter(text: str, language: Language) -> And:
    """The filter *text*. Raises `MlflowError`."""
    try:
        return parse_filter(text, language)
    except SearchError as wrong:
        raise invalid(f"Invalid clause(s) in filter string: {wrong}") from None


def parsed_order(texts: Sequence[str], language: Language, *, once: bool = True) -> list[OrderTerm]:
    """The terms of an order; a field that comes again is refused, or with *once* false left out.

    Raises:
        MlflowError: 400.
    """
    if len(texts) > _TERMS_MAX:
        raise invalid(f"`order_by` has {len(texts)} terms; at most {_TERMS_MAX} are possible")
    terms: list[OrderTerm] = []
    for text in texts:
        try:
            term = parse_order(text, language)
        except SearchError as wrong:
            raise invalid(f"Invalid order_by clause '{text[:200]}': {wrong}") from None
        if all(term.field != other.field for other in terms):
            terms.append(term)
        elif once:
            raise invalid(f"`order_by` contains duplicate fields: {list(texts)}")
    return terms


def experiment_ids(fields: Asked) -> list[int]:
    """``experiment_ids``, which may be given as numbers too. Raises `MlflowError`."""
    return [
        experiment_id(str(member) if type(member) is int else member)
        for member in fields.members("experiment_ids")
    ]


def experiment_id(found: object) -> int:
    """An experiment's id from its digits. Raises `MlflowError`."""
    if type(found) is not str or not _EXPERIMENT_ID.fullmatch(found):
        raise invalid(f"Invalid experiment ID '{str(found)[:100]}'. Experiment ID must be a valid integer.")
    if not 0 <= (number := int(found)) <= limits.EXPERIMENT_ID_MAX:
        raise no_experiment(number)
    return number


def stage(fields: Asked, name: str) -> Stage:
    """The lifecycle stage that the view type *name* shows. Raises `MlflowError`."""
    return _STAGES[fields.enumerated(name, _VIEWS, _VIEWS["ACTIVE_ONLY"])]
