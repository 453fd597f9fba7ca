"""Searching runs as MLflow's clients do: MLflow's names, and tags that native runs have by derivation.

A run that was logged natively has no ``mlflow.*`` tags; those that MLflow's pages show are derived from
what the run knows of itself, wherever it has no tag of that key. A run that MLflow's client began has been
given all its tags, and none is derived: a tag that was deleted stays away.
"""

from collections.abc import Mapping
from typing import Final

from runstone_query.search.compile import Target
from runstone_query.search.language import LISTED, NUMBERS, TEXTS, Attribute, Language
from runstone_query.search.runs import BLOCKS, KEYS, OPERATORS, PREFIXES, TAIL
from runstone_query.statements import fill, pieces

LANGUAGE: Final = Language(
    PREFIXES,
    {
        "run_id": Attribute("text", LISTED),
        "run_name": Attribute("text", TEXTS),
        "status": Attribute("text", TEXTS),
        "user_id": Attribute("text", TEXTS),
        "artifact_uri": Attribute("text", TEXTS),
        "start_time": Attribute("number", NUMBERS),
        "end_time": Attribute("number", NUMBERS),
    },
    {
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
    OPERATORS,
    KEYS,
)

_PIECES: Final = pieces(__file__, "run_language.sql")
_OWN: Final = {name: fill(block, stored=_PIECES["stored"]) for name, block in _PIECES.items()}

DERIVED_TAGS: Final[Mapping[str, str]] = {
    "mlflow.parentRunId": "derived_parent_run_id",
    "mlflow.runName": "derived_run_name",
    "mlflow.source.git.commit": "derived_source_git_commit",
    "mlflow.source.name": "derived_source_name",
    "mlflow.source.type": "derived_source_type",
    "mlflow.user": "derived_user",
}
"""Tag -> the block of its value for a run ``r``; null where the run does not know it."""

_BLOCKS: Final = {**BLOCKS, **_OWN}

RUNS: Final = Target(LANGUAGE, _BLOCKS, TAIL, DERIVED_TAGS)

DERIVED_COLUMNS: Final = ", ".join(f'{_OWN[block]} AS "{key}"' for key, block in DERIVED_TAGS.items())
"""For the SELECT list of a statement over runs ``r``: a column for each derived tag."""


def filled(block: str) -> str:
    """*block* with the derived tags and the pieces of this module's SQL that it leaves open."""
    return fill(
        block,
        derived=DERIVED_COLUMNS,
        artifact_uri=_OWN["attribute_artifact_uri"],
        user_id=_OWN["attribute_user_id"],
        stage=_OWN["stage"],
    )
