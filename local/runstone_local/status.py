"""How an installation is: its parts, how far ingest is behind, what waits in the spool.

An installation is found by its data folder, where ``up`` writes down what it runs, or by the environment
of the services where they run without ``up``.
"""

import asyncio
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from runstone.addresses import without_credentials
from runstone_local import preflight, probe, process_identity, state
from runstone_local.layout import DataFolder
from runstone_local.sender_status import SenderStatus, sender_status
from runstone_local.spool_size import spool_bytes
from runstone_local.state import PARTS, PartState

OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part; *pid* is None where somebody else runs it, *health* is "ok" or what is wrong."""

    name: str
    pid: int | None
    address: str | None
    health: str


@dataclass(frozen=True, slots=True)
class Status:
    """What ``runstone status`` tells; *lag_records* is None while nobody can say."""

    parts: tuple[PartStatus, ...]
    lag_records: int | None
    spool_bytes: int
    sender: SenderStatus

    @property
    def all_well(self) -> bool:
        return all(part.health == OK for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parts_of_folder(data: DataFolder) -> list[PartState]:
    """The parts that ``up`` runs in *data*; those that it does not run have neither pid nor address."""
    found = state.read(data.state)
    known = {part.name: part for part in found.parts} if found else {}
    return [known.get(name, PartState(name, None)) for name in PARTS]


def parts_of_environment(environment: Mapping[str, str]) -> list[PartState]:
    """The parts that the environment of the services names."""
    dsn = environment.get("RUNSTONE_POSTGRES_DSN")
    addresses = {
        "kafka": environment.get("RUNSTONE_BOOTSTRAP_SERVERS"),
        "postgres": preflight.postgres_address(dsn) if dsn else None,
        "gateway": without_credentials(environment.get("RUNSTONE_TRACKING_URI") or "http://127.0.0.1:5000"),
        "api": without_credentials(environment.get("RUNSTONE_API_URL") or "") or None,
    }
    return [PartState(name, addresses.get(name)) for name in PARTS]


async def status(parts: list[PartState]) -> Status:
    """Ask every part of *parts* how it is, all at once, within some seconds."""
    by_name = {part.name: part for part in parts}
    ingest = await _ingest(by_name["api"].address or by_name["gateway"].address)
    healths = await asyncio.gather(*(_health(part, ingest) for part in parts))
    return Status(
        tuple(
            PartStatus(part.name, part.pid, part.address, health)
            for part, health in zip(parts, healths, strict=True)
        ),
        ingest.get("lag_records") if ingest else None,
        spool_bytes(),
        sender_status(),
    )


async def _health(part: PartState, ingest: Mapping[str, Any] | None) -> str:
    if part.pid is not None and process_identity.started(part.pid) != part.start:
        return "not running: it has died and was not started again"
    if part.name == "worker":
        return _worker_health(part, ingest)
    if part.address is None:
        return "not running"
    if part.name in {"gateway", "api"}:
        return await _http_health(part.address)
    try:
        where = preflight.brokers(part.address.partition("/")[0])
    except ValueError:
        return f"{part.address} is no address"
    if part.name == "postgres":
        return OK if await probe.postgres(*where[0]) else "does not answer"
    if part.pid is not None:
        return OK if await probe.kafka(*where[0]) else "does not answer"
    # somebody else's brokers may speak TLS only
    failures = [failure for host, port in where if (failure := await probe.connect(host, port))]
    return "; ".join(failures) if len(failures) == len(where) else OK


async def _http_health(url: str) -> str:
    code, body = await probe.get(f"{url}/ready")
    if code == 200:
        return OK
    return "does not answer" if code == 0 else f"not ready: {_detail(body)}"


def _worker_health(part: PartState, ingest: Mapping[str, Any] | None) -> str:
    if ingest is None:
        return "unknown: the read API, which knows how far ingest is, does not answer"
    if alarms := ingest.get("alarms"):
        return f"ALARM: {' / '.join(alarms)}"
    if any(row["updated_at"] is not None for row in ingest["partitions"]):
        return OK
    return "has applied nothing yet" if part.pid is not None else "no worker has applied anything yet"


async def _ingest(url: str | None) -> Mapping[str, Any] | None:
    if url is None or not urllib.parse.urlsplit(url).hostname:
        return None
    code, body = await probe.get(f"{url}/api/v1/ingest")
    try:
        found = json.loads(body) if code == 200 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "it does not say why"
