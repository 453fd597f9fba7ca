"""Renames, deletes and restores experiments; the catalog decides, see ``runstone_gateway.verdicts``."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events.limits import EXPERIMENT_ID_MAX, EXPERIMENT_NAME_MAX
from runstone.events.types import CatalogEvent, ExperimentDeleted, ExperimentRenamed, ExperimentRestored
from runstone.inputs import checked_name
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow.services import Services
from runstone_gateway.native.refusals import conflict, invalid, missing
from runstone_gateway.native.serving import Body, NativeWrite, Outcome
from runstone_gateway.verdicts import Verdict

_DIGITS: Final = re.compile(r"[0-9]{1,16}")


async def rename(services: Services, path: Mapping[str, str], body: Body) -> Outcome:
    """``PATCH /api/v1/experiments/{experiment_id}``: a new name, unless another experiment has it."""
    found = _id(path)
    name = checked_name(body.get("name"), "name", EXPERIMENT_NAME_MAX)
    known = await services.writes.experiment(found)
    if known is not None and known["lifecycle_stage"] == "active" and known["name"] == name:
        return Outcome(changed=False, kind="experiment", path=_path(found), needs={}, said={})
    verdict = await _verdict(services, lambda request: ExperimentRenamed(found, name, now_ms(), request))
    if verdict.code == "exists":
        raise conflict(
            f"experiment {verdict.answer['experiment_id']} has the name {name!r} already"
            + (", and is deleted" if verdict.answer["lifecycle_stage"] == "deleted" else "")
            + "; choose another name"
        )
    if verdict.code == "deleted":
        raise conflict(f"experiment {found} is deleted; restore it before it is renamed")
    return _outcome(found, verdict)


async def delete(services: Services, path: Mapping[str, str], _body: Body) -> Outcome:
    """``DELETE /api/v1/experiments/{experiment_id}``: with all of its runs; nothing is lost."""
    found = _id(path)
    verdict = await _verdict(services, lambda request: ExperimentDeleted(found, now_ms(), request))
    services.writes.forget(found)
    return _outcome(found, verdict)


async def restore(services: Services, path: Mapping[str, str], _body: Body) -> Outcome:
    """``POST /api/v1/experiments/{experiment_id}/restore``: with the runs that are not deleted."""
    found = _id(path)
    verdict = await _verdict(services, lambda request: ExperimentRestored(found, now_ms(), request))
    services.writes.forget(found)
    return _outcome(found, verdict)


def _id(path: Mapping[str, str]) -> int:
    text = path["experiment_id"]
    if not _DIGITS.fullmatch(text) or int(text) > EXPERIMENT_ID_MAX:
        raise invalid(
            "experiment_id", f"found {text[:100]!r}, expected an integer from 0 to {EXPERIMENT_ID_MAX}"
        )
    return int(text)


async def _verdict(services: Services, make: Callable[[str], CatalogEvent]) -> Verdict:
    heard: list[Verdict] = []

    async def keep(verdict: Verdict) -> Mapping[str, Any]:
        heard.append(verdict)
        return {}

    await services.verdicts.request(make, keep)()
    return heard[-1]


def _outcome(found: int, verdict: Verdict) -> Outcome:
    """That of a verdict that is no conflict: ``deleted`` or ``active`` say that it was so already."""
    if verdict.code == "missing":
        raise missing("experiment", found)
    return Outcome(verdict.accepted, "experiment", _path(found), verdict.needs, {})


def _path(found: int) -> str:
    return f"/api/v1/experiments/{found}"


ROUTES: Final = (
    NativeWrite("PATCH", "/api/v1/experiments/{experiment_id}", rename, ("name",)),
    NativeWrite("DELETE", "/api/v1/experiments/{experiment_id}", delete, None),
    NativeWrite("POST", "/api/v1/experiments/{experiment_id}/restore", restore, ()),
)
