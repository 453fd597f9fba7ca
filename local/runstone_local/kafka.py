"""One real Apache Kafka node in KRaft mode (broker and controller in one process), with its data in a folder.

Three listeners: INTERNAL on loopback for Runstone's own services, EXTERNAL for clients (its address is the
one that clients are told), CONTROLLER on loopback for Kafka itself. The configuration is written anew at
each start, so the ports may change; the voters are static for the same reason (a dynamic quorum would
record the controller's port in its log).
"""

import asyncio
import base64
import signal
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runstone.events.limits import TOPIC_MAX
from runstone_local import child, probe
from runstone_local.addresses import host_port
from runstone_local.exceptions import CannotStartError
from runstone_local.kafka_install import KafkaInstall, java_options

_FORMAT_PATIENCE: Final = 60.0
_START_PATIENCE: Final = 60.0
_STOP_PATIENCE: Final = 20.0

# Log4j 2: warnings and worse on standard output, which is the log file.
_LOGGING: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(frozen=True, slots=True)
class KafkaAddresses:
    """Where the listeners are. *external_host* is bound, *advertised_host* is what clients are told."""

    internal_port: int
    controller_port: int
    external_port: int
    external_host: str = "127.0.0.1"
    advertised_host: str = "127.0.0.1"

    @property
    def internal(self) -> str:
        return host_port("127.0.0.1", self.internal_port)

    @property
    def advertised(self) -> str:
        return host_port(self.advertised_host, self.external_port)


class KafkaNode:
    """One node whose data lies in *folder*; *log* receives its output."""

    name = "kafka"

    def __init__(self, install: KafkaInstall, folder: Path, addresses: KafkaAddresses, log: Path) -> None:
        self.install = install
        self.folder = folder
        self.addresses = addresses
        self.log = log
        self.address = addresses.advertised
        self._settings_file = folder.with_suffix(".properties")
        self._logging_file = folder.with_suffix(".log4j2.properties")

    async def prepare(self) -> None:
        """Write the configuration and, once for a folder, format it.

        Raises:
            CannotStartError: Kafka's own tool refused to format the folder.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._settings_file.write_text(
            "".join(f"{key}={value}\n" for key, value in settings(self.folder, self.addresses).items())
        )
        self._logging_file.write_text(_LOGGING)
        if (self.folder / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        formatting = await asyncio.create_subprocess_exec(
            str(self.install.java),
            *java_options(self.install),
            f"-Dlog4j2.configurationFile={self._logging_file}",
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",  # an earlier attempt may have been interrupted
            *(f"--cluster-id={cluster_id}", "--config", str(self._settings_file)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(formatting.communicate(), _FORMAT_PATIENCE)
        finally:
            if formatting.returncode is None:
                formatting.kill()
                await formatting.wait()
        if formatting.returncode != 0:
            last = output.decode(errors="replace").strip().rpartition("\n")[2]
            raise CannotStartError(f"Kafka could not format {self.folder}: {last}")

    def start(self, *, train: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start the broker; *train* is where this run writes a start-up cache when it stops."""
        return child.spawn(
            [
                self.install.java,
                *java_options(self.install, train=train),
                f"-Dlog4j2.configurationFile={self._logging_file}",
                "kafka.Kafka",
                self._settings_file,
            ],
            log=self.log,
            death_signal=signal.SIGTERM,
        )

    async def is_ready(self) -> bool:
        """Whether the broker answers its clients."""
        return await probe.kafka("127.0.0.1", self.addresses.internal_port)

    async def wait_ready(self, running: "subprocess.Popen[bytes]") -> None:
        """Return once the broker answers; CannotStartError when it ends or takes a minute."""
        await child.wait_ready(running, self.is_ready, name="kafka", log=self.log, patience=_START_PATIENCE)

    async def stop(self, running: "subprocess.Popen[bytes]", patience: float = _STOP_PATIENCE) -> None:
        """Stop the broker: it flushes its logs, so that the next start needs no recovery."""
        await child.end(running, signal.SIGTERM, patience)


def settings(folder: Path, addresses: KafkaAddresses) -> Mapping[str, str]:
    """The broker's configuration: what one node needs, and what keeps the ledger."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{addresses.controller_port}",
        "listeners": (
            f"INTERNAL://{addresses.internal},"
            f"EXTERNAL://{host_port(addresses.external_host, addresses.external_port)},"
            f"CONTROLLER://127.0.0.1:{addresses.controller_port}"
        ),
        "advertised.listeners": (f"INTERNAL://{addresses.internal},EXTERNAL://{addresses.advertised}"),
        "listener.security.protocol.map": "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder),
        # topics are created by `runstone topic create` and `up` alone: a broker's defaults would lose data
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",
        "message.max.bytes": str(TOPIC_MAX),
        # one node: its internal topics cannot have three replicas, and need few partitions
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # no record every half second that only says to other controllers that this one lives
        "metadata.max.idle.interval.ms": "0",
        # after a kill -9 the controller lets the broker in again when the dead one's session has run out,
        # by default after 9 s
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # a group of one worker need not wait for others to join
        "group.initial.rebalance.delay.ms": "0",
        # the default of 128 MiB would be a quarter of the heap; only the offsets topic is compacted
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }
