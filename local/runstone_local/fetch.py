"""``python -m runstone_local.fetch``: everything that ``up`` needs, downloaded and prepared beforehand.

Quick, silent but for one line, and without the network once all of it is there.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import filelock

from runstone.exceptions import RunstoneError
from runstone_local import kafka_install, postgres_install
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.kafka_install import KafkaInstall, Progress
from runstone_local.layout import ROOT_FOLDER, cache_folder
from runstone_local.ports import free_ports
from runstone_local.service_user import service_user

_WRITING_PATIENCE: Final = 120.0
"""Seconds that the JVM may take to write its start-up cache while it stops; usually 5."""

_CACHES_KEPT: Final = 4
"""A start-up cache belongs to one Java in one place, and a user may have several environments."""


def fetch_kafka(say: Progress) -> KafkaInstall:
    """Download and prepare what is missing; *say* gets lines of progress, none when nothing is missing.

    Raises:
        CannotStartError: something cannot be had.
    """
    install = kafka_install.installed() or kafka_install.fetch_jars(say)
    if not install.startup_cache.exists():
        with filelock.FileLock(cache_folder() / "kafka.lock"):
            if not install.startup_cache.exists():
                asyncio.run(_train(install, say))
    return install


async def _train(install: KafkaInstall, say: Progress) -> None:
    """Run the broker once so that the JVM writes what it learnt while starting."""
    say("kafka: preparing a cache that makes it start in a second (65 MB, about 10 s, once)")
    kept = install.startup_cache
    with tempfile.TemporaryDirectory(prefix="runstone-fetch-") as folder:
        internal, controller, external = free_ports(3)
        addresses = KafkaAddresses(internal, controller, external)
        node = KafkaNode(install, Path(folder) / "kafka", addresses, Path(folder) / "kafka.log")
        await node.prepare()
        written = Path(folder) / "startup.aot"
        running = node.start(train=written)
        try:
            await node.wait_ready(running)
        finally:
            await node.stop(running, _WRITING_PATIENCE)
        if written.exists():
            partial = kept.with_suffix(".partial")
            shutil.copyfile(written, partial)
            partial.replace(kept)
            others = sorted(kept.parent.glob("*.aot"), key=lambda file: file.stat().st_mtime)
            for outdated in others[:-_CACHES_KEPT]:
                outdated.unlink()
        else:
            kept.touch()  # empty: there is none for this Java, and nobody tries again
            say("kafka: this Java cannot write such a cache; Kafka will start in 3 s instead of 1 s")


def main() -> int:
    """Fetch with progress on standard error; the exit code."""
    began = time.monotonic()
    try:
        fetch_kafka(lambda line: print(f"runstone: {line}", file=sys.stderr, flush=True))
        postgres_install.reachable_by(postgres_install.find(), service_user(ROOT_FOLDER))
    except (RunstoneError, OSError) as failed:
        print(f"runstone: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(
        f"runstone: Kafka and Postgres are ready to start ({time.monotonic() - began:.1f} s)", file=sys.stderr
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
