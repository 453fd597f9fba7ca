"""What the environment says: every ``RUNSTONE_*`` variable that the client reads, checked, in one place."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runstone import notices
from runstone.addresses import without_credentials
from runstone.events.limits import MIB
from runstone.exceptions import InvalidInputError
from runstone.inputs import shown
from runstone.spool.artifact_room import ARTIFACT_LIMIT
from runstone.spool.layout import named_root, spool_root

DEFAULT_TRACKING_URI: Final = "http://127.0.0.1:5000"

TRACKING_URI_MAX: Final = 2000
"""Bytes; a segment's first page holds the address."""

SPOOL_LIMIT: Final = 1024 * MIB
"""Bytes of log records in the spool above which new points are refused: 20 million single points."""

_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE: Final = re.compile(r"([0-9]{1,18})\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
_RANK: Final = re.compile(r"[0-9]{1,9}")
_RANKS: Final = (
    *("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"),
    *("PALS_RANKID", "FLUX_TASK_RANK", "JSM_NAMESPACE_RANK", "LOCAL_RANK"),
)
"""Where launchers say which rank of its job a process is; torchrun's first, it may run below another."""

_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a client behaves.

    Attributes:
        tracking_uri: where the gateway answers; also the destination that segments name.
        experiment: the name of the experiment that runs belong to unless they say otherwise.
        run_id: of the run that all ranks of a job share; empty where each process starts its own.
        rank: of this process in its job; -1 where it is in none.
        disabled: every call does nothing. offline: no sender is started.
        quiet: no line with the run's link. strict: what would be altered raises instead.
        spool: the spool's root. spool_limit: of log records in it, in bytes.
        artifact_spool_limit: of files that wait there to be uploaded, in bytes.
        exit_timeout: seconds that the exit waits for the acknowledgement; None where nobody said.
    """

    tracking_uri: str
    experiment: str
    run_id: str
    rank: int
    disabled: bool
    offline: bool
    quiet: bool
    strict: bool
    spool: Path
    spool_limit: int
    artifact_spool_limit: int
    exit_timeout: float | None


def read_configuration(
    tracking_uri: str | None = None, spool: str | os.PathLike[str] | None = None
) -> Configuration:
    """The environment's configuration, with the address and spool folder that the caller names instead.

    Raises:
        InvalidInputError: a variable or argument is not what it must be.
    """
    environ = os.environ
    return Configuration(
        tracking_uri=check_tracking_uri(
            environ.get("RUNSTONE_TRACKING_URI") or DEFAULT_TRACKING_URI
            if tracking_uri is None
            else tracking_uri
        ),
        experiment=environ.get("RUNSTONE_EXPERIMENT", ""),
        run_id=environ.get("RUNSTONE_RUN_ID", ""),
        rank=_rank(),
        disabled=_flag("RUNSTONE_DISABLED"),
        offline=_flag("RUNSTONE_OFFLINE"),
        quiet=_flag("RUNSTONE_QUIET"),
        strict=_flag("RUNSTONE_STRICT"),
        spool=_spool(spool),
        spool_limit=_size("RUNSTONE_SPOOL_LIMIT", SPOOL_LIMIT),
        artifact_spool_limit=_size("RUNSTONE_ARTIFACT_SPOOL_LIMIT", ARTIFACT_LIMIT),
        exit_timeout=_seconds("RUNSTONE_EXIT_TIMEOUT"),
    )


def check_tracking_uri(uri: str) -> str:
    """The address without a slash at its end, nor a name and password, which no server here takes.

    Raises:
        InvalidInputError: it is no http or https URL with a host.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415  # importing runstone must stay cheap

    try:
        parts = urlsplit(uri)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        usable = False
    if not usable or not uri.isprintable() or any(c in uri for c in " ?#\\"):
        raise InvalidInputError(
            f"the tracking URI {shown(without_credentials(uri) if isinstance(uri, str) else uri)} is no "
            "address of a server; expected something like "
            f"{DEFAULT_TRACKING_URI} (RUNSTONE_TRACKING_URI or Client(tracking_uri=...))"
        )
    if len(uri.encode()) > TRACKING_URI_MAX:
        raise InvalidInputError(f"the tracking URI is longer than {TRACKING_URI_MAX} bytes")
    if "@" in parts.netloc:
        notices.warn_once(
            "credentials",
            "the tracking URI has a user's name or password, which no server of Runstone asks for: "
            "they are left out",
        )
        uri = without_credentials(uri)
    return uri.rstrip("/")


def _spool(named: str | os.PathLike[str] | None) -> Path:
    if named == "":
        raise InvalidInputError("the spool's path is empty; expected a folder on a local disk")
    try:
        return spool_root() if named is None else named_root(named)
    except (OSError, TypeError, ValueError) as wrong:  # OSError: relative to a folder that is no more
        raise InvalidInputError(
            f"the spool {shown(os.environ.get('RUNSTONE_SPOOL') if named is None else named)} is no folder's "
            f"path ({wrong}); expected an absolute one (RUNSTONE_SPOOL or Client(spool=...))"
        ) from None


def _flag(name: str) -> bool:
    found = os.environ.get(name, "").strip().lower()
    if found in {"", "0", "false", "no", "off"}:
        return False
    if found in {"1", "true", "yes", "on"}:
        return True
    raise InvalidInputError(f"{name}={found!r} is neither on nor off; expected 1 or 0")


def _size(name: str, default: int) -> int:
    found = os.environ.get(name, "").strip()
    if not found:
        return default
    match = _SIZE.fullmatch(found)
    if match is None:
        raise InvalidInputError(f"{name}={found!r} is no size; expected bytes, or something like 500M or 20G")
    return int(match[1]) * _UNITS[match[2].upper()]


def _seconds(name: str) -> float | None:
    found = os.environ.get(name, "").strip()
    if not found:
        return None
    if not _SECONDS.fullmatch(found):
        raise InvalidInputError(f"{name}={found!r} is no time; expected seconds, such as 30 or 0.5")
    return float(found)


def _rank() -> int:
    for name in _RANKS:
        found = os.environ.get(name, "")
        if _RANK.fullmatch(found):
            return int(found)
    return -1
