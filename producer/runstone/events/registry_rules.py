"""What names, versions, aliases and stages the model registry takes; rules and messages are MLflow's.

They are part of the contract because both sides apply them: the gateway before it publishes a change, the
read API before it looks for a name that cannot be.
"""

import posixpath
import re
from typing import Final

import orjson

from runstone.events import limits
from runstone.exceptions import InvalidInputError

MODEL_NAME_MAX: Final = limits.REGISTERED_NAME_MAX
ALIAS_MAX: Final = 255
DESCRIPTION_MAX: Final = 100_000
SOURCE_MAX: Final = 2000
TAG_VALUE_MAX: Final = 100_000
"""Characters. Those of aliases and tags are MLflow's; its databases' columns decide about the others."""

STAGES: Final = ("None", "Staging", "Production", "Archived")
_ACTIVE_STAGES: Final = ("Staging", "Production")

PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
"""By this tag MLflow keeps prompts in its registry; here there are none."""


def check_model_name(name: str, parameter: str = "name") -> None:
    """Raise `InvalidInputError` for a name that no registered model may have."""
    if not name.strip():
        raise InvalidInputError(f"Missing value for required parameter '{parameter}'.")
    if "/" in name or ":" in name:
        raise InvalidInputError(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    resolved = posixpath.normpath(name)
    if resolved != name or resolved == "." or resolved.startswith(".."):
        shown = orjson.dumps(name).decode()
        raise InvalidInputError(
            f"Invalid value {shown} for parameter 'name' supplied: Names may be treated as files in certain "
            f"cases, and must not resolve to other names when treated as such. This name would resolve to "
            f"{resolved!r}"
        )


def check_new_model_name(name: str, parameter: str = "name") -> None:
    """The same for a name that a model is to get, which must not be longer than names are."""
    check_model_name(name, parameter)
    check_length("name", name, MODEL_NAME_MAX)


def version_number(text: str) -> int:
    """The number of a version, which travels as text; 0, which no version has, for one that cannot be.

    Raises:
        InvalidInputError: it is no number.
    """
    try:
        number = int(text)
    except ValueError:
        raise InvalidInputError(f"Parameter 'version' must be an integer, got '{text}'.") from None
    return number if 0 < number < 2**63 else 0


def check_alias(alias: str) -> None:
    """Raise `InvalidInputError` for an alias that cannot be one."""
    if not alias:
        raise InvalidInputError("Registered model alias name cannot be empty.")
    if not re.fullmatch(r"[\w\-]*", alias):
        raise InvalidInputError(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and "
            "dashes (-)."
        )
    check_length("Registered model alias name", alias, ALIAS_MAX)


def check_new_alias(alias: str) -> None:
    """Raise `InvalidInputError` for what `check_alias` refuses and aliases that mean something already."""
    check_alias(alias)
    if alias.lower() == "latest":
        raise InvalidInputError("'latest' alias name (case insensitive) is reserved.")
    if re.fullmatch(r"[vV]\d+", alias):
        raise InvalidInputError(f"Version alias name '{alias}' is reserved.")


def canonical_stage(stage: str) -> str:
    """*stage* as it is written; any case is taken. Raises `InvalidInputError`."""
    for known in STAGES:
        if known.lower() == stage.lower():
            return known
    raise InvalidInputError(
        f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(STAGES)}."
    )


def check_archiving(stage: str) -> None:
    """Raise `InvalidInputError` where the other versions of *stage* cannot be archived."""
    if canonical_stage(stage) not in _ACTIVE_STAGES:
        raise InvalidInputError(
            "Model version transition cannot archive existing model versions because "
            f"'{stage}' is not an Active stage. Valid stages are {list(_ACTIVE_STAGES)}"
        )


def check_length(what: str, value: str, limit: int) -> None:
    """Raise `InvalidInputError` for a *value* of more than *limit* characters."""
    if len(value) > limit:
        raise InvalidInputError(f"'{what}' exceeds the maximum length of {limit} characters")
