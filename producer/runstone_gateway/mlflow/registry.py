"""What the writes of the model registry share: tags as they are checked, verdicts as errors, reading back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from runstone.events import CATALOG
from runstone.events.limits import KEY_MAX
from runstone.events.registry_rules import (
    MODEL_NAME_MAX,
    PROMPT_TAG,
    TAG_VALUE_MAX,
    check_length,
    check_model_name,
)
from runstone_gateway.ledger import Needs
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import NOT_IMPLEMENTED, MlflowError, invalid, missing
from runstone_gateway.mlflow.services import Services
from runstone_gateway.verdicts import Verdict

_API: Final = "/api/2.0/mlflow"

TAGS_MAX: Final = 500_000
"""Characters of all tags of a request together, which become one event."""


def check_tag_key(key: str) -> None:
    """A key that a tag of the registry may have. Raises `MlflowError`."""
    rules.check_name(key, "key")
    check_length("key", key, KEY_MAX)


def checked_tag(key: str, value: str) -> dict[str, str]:
    """The tag of a registered model or version; the tag of a prompt is refused, as are all prompts.

    Raises:
        MlflowError: for what MLflow refuses.
    """
    check_tag_key(key)
    check_length("value", value, TAG_VALUE_MAX)
    if key == PROMPT_TAG and value.lower() != "false":
        raise MlflowError(
            NOT_IMPLEMENTED, f"Runstone keeps models, not prompts: the tag {PROMPT_TAG} cannot be set."
        )
    return {key: value}


def checked_tags(tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags by their keys, the last of a key wins. Raises what `checked_tag` raises."""
    found: dict[str, str] = {}
    for tag in tags:
        found |= checked_tag(tag.get("key", ""), tag.get("value", ""))
    if sum(map(len, found.values())) > TAGS_MAX:
        raise invalid(f"The tags of one request hold at most {TAGS_MAX} characters in all.")
    return found


def tags_document(tags: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """The member ``tags`` of an answer; left out where there are none."""
    listed = [{"key": key, "value": value} for key, value in sorted(tags.items())]
    return {"tags": listed} if listed else {}


def no_model(name: str) -> MlflowError:
    """There is no registered model of this name."""
    return missing(f"Registered Model with name={name} not found")


def no_version(name: str, version: str | int) -> MlflowError:
    """There is no such version."""
    return missing(f"Model Version (name={name}, version={version}) not found")


def check_name(name: str, absent: MlflowError) -> None:
    """Refuse what is no name, and raise *absent* for one that is longer than any model's."""
    check_model_name(name)
    if len(name) > MODEL_NAME_MAX:
        raise absent


async def read(
    services: Services, path: str, query: Mapping[str, str], needs: Needs
) -> dict[str, Any] | None:
    """What the read API answers at *path* of the registry; None where there is no such thing."""
    return await services.read_api.get(f"{_API}/{path}?{urlencode(query)}", needs)


async def read_newest(services: Services, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
    """The same; what is not there is looked for again at the very end of the catalog."""
    found = await read(services, path, query, await services.ledger.at_least_for(CATALOG))
    if found is not None:
        return found
    topic, partition = place = services.ledger.place(CATALOG)
    return await read(services, path, query, {topic: {str(partition): await services.ledger.end(place)}})


async def answer_model(services: Services, name: str, verdict: Verdict) -> dict[str, Any]:
    """The registered model as it is after *verdict*, which may be of its absence."""
    if not verdict.accepted:
        raise no_model(name)
    found = await read(services, "registered-models/get", {"name": name}, verdict.needs)
    if found is None:  # deleted by somebody else since
        raise no_model(name)
    return found


async def answer_version(services: Services, name: str, version: str, verdict: Verdict) -> dict[str, Any]:
    """The version as it is after *verdict*, which may be of its absence."""
    if not verdict.accepted:
        raise no_version(name, version)
    query = {"name": name, "version": version}
    found = await read(services, "model-versions/get", query, verdict.needs)
    if found is None:
        raise no_version(name, version)
    return found
