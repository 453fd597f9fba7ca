"""The sender as a process: its folder, its log, its lease, its loop."""

import asyncio
import logging
import logging.handlers
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Final

from runstone._version import __version__
from runstone.events.limits import MIB
from runstone.exceptions import InvalidInputError
from runstone.sender.destinations import leave_finding
from runstone.sender.discovery import Discovery
from runstone.sender.kafka_settings import kafka_settings
from runstone.sender.lease import Lease
from runstone.sender.preloading import PRELOADED
from runstone.sender.service import Service
from runstone.spool.layout import MachineFolder, this_machine

log = logging.getLogger("runstone.sender")

STAYED: Final = 10.0
"""Seconds that a sender must have worked before a fault to begin again by itself; else clients start another
one, less and less often. There may be no client left."""

DESCRIPTORS: Final = 65_536

_LOG_MOST: Final = 4 * MIB


def send(spool: Path) -> int:
    """Be the sender of *spool* until it is idle; the exit code, 0 also where there is another sender."""
    os.umask(0o077)
    folder = MachineFolder(spool) if (spool / "format").exists() else this_machine(spool)
    folder.make()
    lease = Lease(folder)
    if not lease.acquire():
        return 0
    _log_to(folder.sender_log)
    _open_as_many_files_as_allowed()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log.info(
        "sender %d of %s begins: runstone %s, Python %s in %s", os.getpid(), folder.path, __version__,
        sys.version.split()[0], sys.prefix,
    )  # fmt: skip
    log.debug("%d modules are there in time", len(PRELOADED))
    try:
        security = kafka_settings()
    except InvalidInputError as wrong:
        log.warning("%s", wrong)
        for session in Discovery([folder], kin=False).found(lambda _bound: 1):
            leave_finding(folder, session.uri, f"nothing can be sent: {wrong}")
        return 2
    while True:
        began = time.monotonic()
        try:
            asyncio.run(_serve(lease, security))
        except Exception:
            log.exception("the sender cannot go on")
            if time.monotonic() - began < STAYED or not lease.acquire():
                return 1
            log.info("sender %d begins again", os.getpid())
        else:
            log.info("sender %d is gone", os.getpid())
            return 0


async def _serve(lease: Lease, security: dict[str, object]) -> None:
    await Service([lease], security).run()


def _open_as_many_files_as_allowed() -> None:
    """Each session that is served takes two descriptors, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_MOST, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # aiokafka reports each failed attempt of each connection; what matters is said by the publisher.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
