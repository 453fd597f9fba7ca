"""What the gateway has to know before it writes: of runs, experiments and models, those it asks for.

This lies on the way of every synchronous write of an MLflow client, so it is one statement without a
transaction around it, and what Postgres puts together as JSON is passed on as it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from runstone_query import inputs
from runstone_query.at_least import AtLeast, NotReachedError, applied_from_text, from_json, missing
from runstone_query.problems import invalid
from runstone_query.snapshot import ReadModel
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "facts.sql")

FIELDS: Final = ("runs", "experiments", "models", "at_least")

_KINDS: Final = ("runs", "experiments", "models")
_BIGINT_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Attributes:
    params: pairs of a run and the key of a param. tags: likewise of a tag. datasets: of a dataset's name.
    at_least: what must have been applied; nothing is waited for where it is empty.
    """

    runs: Sequence[str]
    params: Sequence[tuple[str, str]]
    tags: Sequence[tuple[str, str]]
    datasets: Sequence[tuple[str, str]]
    experiments: Sequence[int]
    models: Sequence[str]
    at_least: AtLeast


def checked(body: Mapping[str, object], topics: Mapping[str, str]) -> Wanted:
    """What *body* asks for; ids and names that Postgres cannot hold are nobody's and left out.

    Raises:
        Problem: 400.
    """
    runs = body.get("runs", {})
    if type(runs) is not dict or not all(type(wanted) is dict for wanted in runs.values()):
        raise invalid("runs", runs, 'an object {"<run id>": {"params": [keys], …}}')
    at_least = body.get("at_least")
    return Wanted(
        [run_id for run_id in runs if inputs.storable(run_id)],
        _pairs(runs, "params"),
        _pairs(runs, "tags"),
        _pairs(runs, "datasets"),
        _ids(body.get("experiments", [])),
        _texts("models", body.get("models", [])),
        {} if at_least is None else from_json("at_least", at_least, topics),
    )


def _pairs(runs: Mapping[str, Mapping[str, object]], field: str) -> list[tuple[str, str]]:
    return [
        (run_id, key)
        for run_id, wanted in runs.items()
        for key in _texts(field, wanted.get(field, []))
        if inputs.storable(run_id)
    ]


def _texts(field: str, found: object) -> list[str]:
    if type(found) is not list or not all(type(member) is str for member in found):
        raise invalid(field, found, "a list of texts")
    return [member for member in found if inputs.storable(member)]


def _ids(found: object) -> list[int]:
    if type(found) is not list or not all(type(member) is int for member in found):
        raise invalid("experiments", found, "a list of integers")
    return [member for member in found if 0 <= member <= _BIGINT_MAX]


async def read(model: ReadModel, wanted: Wanted) -> dict[str, Any]:
    """The facts as an object for orjson: members of JSON text as it came from Postgres.

    Raises:
        Problem: 503.
    """
    arguments = (
        wanted.runs,
        [run_id for run_id, _ in wanted.params],
        [key for _, key in wanted.params],
        wanted.experiments,
        wanted.models,
        [run_id for run_id, _ in wanted.tags],
        [key for _, key in wanted.tags],
        [run_id for run_id, _ in wanted.datasets],
        [name for _, name in wanted.datasets],
    )

    async def attempt() -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await model.ask(_BLOCKS["facts"], *arguments))[0]
        if wanted.at_least and missing(wanted.at_least, applied_from_text(found["applied"])):
            raise NotReachedError
        return found

    found = await model.reaching(wanted.at_least, attempt)
    return {
        "generation": found["generation"],
        "applied": orjson.Fragment(found["applied"] or "{}"),
        **{kind: orjson.Fragment(found[kind] or "{}") for kind in _KINDS},
    }
