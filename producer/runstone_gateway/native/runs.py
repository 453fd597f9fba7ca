"""Deletes, restores and tags runs."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from runstone.events import Event
from runstone.events.limits import KEY_MAX, RUN_NAME_MAX, TAG_VALUE_MAX
from runstone.events.types import RunDeleted, RunRestored, TagDeleted, check_key
from runstone.exceptions import MalformedEnvelopeError
from runstone_gateway.clock import now_ms
from runstone_gateway.ledger import Written
from runstone_gateway.mlflow.rules import RUN_NAME_TAG
from runstone_gateway.mlflow.services import Services
from runstone_gateway.mlflow.tags import naming, tagging
from runstone_gateway.native.refusals import invalid, missing
from runstone_gateway.native.serving import Body, NativeWrite, Outcome

TAGS_MOST: Final = 100
"""Tags that one request may look at."""


async def delete(services: Services, path: Mapping[str, str], _body: Body) -> Outcome:
    """``DELETE /api/v1/runs/{run_id}``: a flag, everything stays readable."""
    return await _stage(services, path["run_id"], "deleted", RunDeleted(now_ms()))


async def restore(services: Services, path: Mapping[str, str], _body: Body) -> Outcome:
    """``POST /api/v1/runs/{run_id}/restore``."""
    return await _stage(services, path["run_id"], "active", RunRestored(now_ms()))


async def _stage(services: Services, run_id: str, stage: str, event: Event) -> Outcome:
    run = await services.writes.run(run_id, fresh=True)
    if run is None:
        raise missing("run", run_id)
    experiment = await services.writes.experiment(run.fields["experiment_id"])
    hidden = experiment is not None and experiment["lifecycle_stage"] == "deleted"
    said = {"experiment_deleted": hidden}
    # a run of a deleted experiment is told as deleted whatever its own flag is, so the flag is written
    if run.fields["lifecycle_stage"] == stage and not hidden:
        return _outcome(services, run_id, None, said)
    fields = {"lifecycle_stage": "deleted" if hidden else stage}
    written = services.writes.append(run_id, [event], fields=fields)
    await written.wait()
    return _outcome(services, run_id, written, said)


async def tag(services: Services, path: Mapping[str, str], body: Body) -> Outcome:
    """``POST /api/v1/runs/{run_id}/tags``: sets and deletes tags, all in one record."""
    run_id = path["run_id"]
    wanted = _checked(body)
    run = await services.writes.run(run_id, tags=tuple(wanted), fresh=True)
    if run is None:
        raise missing("run", run_id)
    changes = {key: value for key, value in wanted.items() if run.tags.get(key) != value}
    now = now_ms()
    events: list[Event] = []
    fields: dict[str, str] = {}
    for key, value in changes.items():
        if value is None:
            events.append(TagDeleted(key, now))
        else:
            events += tagging(key, value, now)
            fields |= naming(key, value)
    if not events:
        return _outcome(services, run_id, None, {})
    written = services.writes.append(run_id, events, fields=fields, tags=changes)
    await written.wait()
    return _outcome(services, run_id, written, {})


def _checked(body: Body) -> dict[str, str | None]:
    """Key -> the value that the tag is to have, None where it is to go."""
    to_set, to_delete = body.get("set", {}), body.get("delete", [])
    if type(to_set) is not dict or not all(type(value) is str for value in to_set.values()):
        raise invalid("set", "expected an object of texts")
    if type(to_delete) is not list or not all(type(key) is str for key in to_delete):
        raise invalid("delete", "expected a list of texts")
    if both := set(to_set) & set(to_delete):
        raise invalid("delete", f"the tag {min(both)!r} cannot be set and deleted at once")
    if not 1 <= len(to_set) + len(to_delete) <= TAGS_MOST:
        raise invalid("set", f"expected 1 to {TAGS_MOST} tags to set or delete")
    wanted: dict[str, str | None] = {**to_set, **dict.fromkeys(to_delete)}
    for key, value in wanted.items():
        _check_tag(key, value)
    return wanted


def _check_tag(key: str, value: str | None) -> None:
    try:
        check_key(key)
    except MalformedEnvelopeError:
        raise invalid(
            "set",
            f"{key[:KEY_MAX]!r} is no key; expected 1 to {KEY_MAX} characters, none a control character",
        ) from None
    if value is None:
        return
    longest = RUN_NAME_MAX if key == RUN_NAME_TAG else TAG_VALUE_MAX
    if len(value) > longest or "\0" in value or (key == RUN_NAME_TAG and not value):
        raise invalid("set", f"the value of {key!r} must have at most {longest} characters, none of them NUL")


def _outcome(services: Services, run_id: str, written: Written | None, said: Mapping[str, Any]) -> Outcome:
    if written is not None:
        needs = written.needs
    else:  # what another request of this gateway wrote is what there is
        place = services.ledger.place(run_id)
        floor = services.ledger.unapplied_floor(place)
        needs = {} if floor is None else {place[0]: {str(place[1]): floor}}
    return Outcome(written is not None, "run", f"/api/v1/runs/{quote(run_id, safe='')}", needs, said)


ROUTES: Final = (
    NativeWrite("DELETE", "/api/v1/runs/{run_id}", delete, None),
    NativeWrite("POST", "/api/v1/runs/{run_id}/restore", restore, ()),
    NativeWrite("POST", "/api/v1/runs/{run_id}/tags", tag, ("set", "delete")),
)
