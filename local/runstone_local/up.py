"""``runstone up``: starts everything in order, keeps it running, stops it in order.

    lock the folder ─ end orphans ─ check ─┬─ kafka ─ topics ────┬─ worker ──────┬─ /ready ─ serve
                                           └─ postgres ─ migrate ┴─ api, gateway ┘

One event loop in the main thread. SIGINT, SIGTERM and SIGHUP set one event; whatever is under way is then
cancelled and everything that was started is stopped: gateway, then api and worker, then postgres and kafka.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runstone_local import orphans, preflight, probe, process_identity, state
from runstone_local.addresses import Listening, host_port
from runstone_local.environment import service_environment
from runstone_local.exceptions import CannotStartError
from runstone_local.folder_lock import FolderLock
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.kafka_install import KafkaInstall
from runstone_local.layout import DataFolder
from runstone_local.ports import RememberedPorts
from runstone_local.postgres import PostgresServer
from runstone_local.service import Service
from runstone_local.state import PartState, State
from runstone_local.supervisor import Supervisor
from runstone_local.yielding import keep_yielding

_KAFKA_PORT: Final = 9092
_READY_PATIENCE: Final = 60.0
_READY_POLL_SECONDS: Final = 0.05
_STOP_ORDER: Final = (("gateway",), ("api", "worker"), ("postgres", "kafka"))

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. *kafka* is a program to run or the ``host:port,…`` of somebody else's brokers,
    *postgres* the DSN of somebody else's server or None.
    """

    data: Path
    listening: Listening
    port: int
    kafka: KafkaInstall | str
    postgres: str | None


async def up(options: Options, say: Say) -> None:
    """Run the installation until a signal ends it; *say* gets the lines for the user.

    Raises:
        CannotStartError: it could not be started; everything that was started is stopped by then.
    """
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            loop.add_signal_handler(number, asked_to_stop.set)
    installation = _Installation(options, say)
    with installation.lock():
        starting = asyncio.create_task(installation.start())
        stopping = asyncio.create_task(asked_to_stop.wait())
        tasks: list[asyncio.Task[Any]] = [starting, stopping]
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                tasks.append(asyncio.create_task(keep_yielding()))
                await stopping
            say("stopping")
        finally:
            await _cancelled(*tasks)
            await installation.stop()
        say("stopped")


class _Installation:
    """The parts of one installation, wired together."""

    def __init__(self, options: Options, say: Say) -> None:
        self._options = options
        self._say = say
        self._data = DataFolder(options.data)
        self._url = f"http://{host_port(options.listening.advertised, options.port)}"
        self._state = State(os.getpid(), process_identity.started(os.getpid()), self._url, ())
        self._supervisor = Supervisor(say, self._record)

    def lock(self) -> FolderLock:
        self._data.create()
        return FolderLock(self._data.lock, self._url)

    async def start(self) -> None:
        """Start all of it; returns when a write would be accepted and a read answered."""
        began = time.monotonic()
        left = state.read(self._data.state)
        if left is not None and (ended := await orphans.end_orphans(left)):
            self._say(f"ended what a killed 'runstone up' had left running: {', '.join(ended)}")
        self._data.state.unlink(missing_ok=True)
        listening, port = self._options.listening, self._options.port
        preflight.check_port(listening.host, port)
        preflight.check_space(self._data.path)
        if isinstance(self._options.kafka, str):
            await preflight.check_kafka(self._options.kafka)
        if self._options.postgres:
            await preflight.check_postgres(self._options.postgres)
        ports = RememberedPorts(self._data.ports)
        kafka = self._kafka(ports)
        postgres = None if self._options.postgres else PostgresServer(self._data, ports.port("postgres"))
        bootstrap = kafka.addresses.internal if isinstance(kafka, KafkaNode) else kafka
        dsn = postgres.dsn() if postgres else self._options.postgres or ""
        api_port = ports.port("api")
        os.environ.update(
            environment := service_environment(
                os.environ,
                bootstrap=bootstrap,
                advertised=kafka.address if isinstance(kafka, KafkaNode) else kafka,
                dsn=dsn,
                api_url=f"http://127.0.0.1:{api_port}",
                web_url=self._url,
                artifact_root=os.environ.get("RUNSTONE_ARTIFACT_ROOT") or self._data.own_artifacts(),
                own_kafka=isinstance(kafka, KafkaNode),
                own_postgres=postgres is not None,
            )
        )
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        self._say(f"starting in {self._data.path}")
        migrated = asyncio.Event()

        async def reading() -> None:
            await self._start_postgres(postgres, dsn)
            migrated.set()
            await _together(
                self._start_service(
                    "api", host="127.0.0.1", port=api_port, address=f"http://127.0.0.1:{api_port}"
                ),
                self._start_service("gateway", host=listening.host, port=port, address=self._url),
            )

        async def writing() -> None:
            await self._start_kafka(kafka, bootstrap)
            await migrated.wait()
            await self._start_service("worker")

        await _together(reading(), writing())
        await self._wait_ready()
        self._say(f"ready after {time.monotonic() - began:.1f} s at {self._url}")
        self._say(f"the data is in {self._data.path}; Ctrl-C (or: kill {os.getpid()}) stops everything")

    async def stop(self) -> None:
        """Stop what runs, in order, and take back the state: nothing runs any more."""
        await self._supervisor.stop(_STOP_ORDER)
        if self._state.parts:  # else an earlier one's orphans may still be written down there
            self._data.state.unlink(missing_ok=True)

    def _kafka(self, ports: RememberedPorts) -> KafkaNode | str:
        if isinstance(self._options.kafka, str):
            return self._options.kafka
        listening = self._options.listening
        before = ports.remembered("kafka")
        external = ports.port("kafka", host=listening.host, preferred=_KAFKA_PORT)
        if before not in {None, external}:
            self._say(f"port {before} is taken by another program, so Kafka moves to port {external}")
        addresses = KafkaAddresses(
            internal_port=ports.port("kafka internal"),
            controller_port=ports.port("kafka controller"),
            external_port=external,
            external_host=listening.host,
            advertised_host=listening.advertised,
        )
        return KafkaNode(self._options.kafka, self._data.kafka, addresses, self._data.log("kafka"))

    async def _start_kafka(self, kafka: KafkaNode | str, bootstrap: str) -> None:
        if isinstance(kafka, KafkaNode):
            await self._supervisor.start(kafka)
        else:
            self._record(PartState("kafka", kafka))
        # imported while Kafka starts: they take a noticeable time
        from runstone_ingest import topics  # noqa: PLC0415
        from runstone_store.configuration import topic_prefix  # noqa: PLC0415

        await topics.create(bootstrap, topic_prefix())
        if not isinstance(kafka, KafkaNode):
            for finding in await topics.check(bootstrap, topic_prefix()):
                self._say(finding)

    async def _start_postgres(self, postgres: PostgresServer | None, dsn: str) -> None:
        if postgres is not None:
            await self._supervisor.start(postgres)
        else:
            self._record(PartState("postgres", preflight.postgres_address(dsn)))
        import asyncpg  # noqa: PLC0415  as above

        from runstone_store import migrations  # noqa: PLC0415  as above

        try:
            done = await migrations.migrate(dsn)
        except asyncpg.PostgresError as refused:
            raise CannotStartError(f"Postgres refuses to create the read model: {refused}.") from refused
        for line in done:
            self._say(line)

    async def _start_service(
        self, name: str, *, host: str | None = None, port: int | None = None, address: str | None = None
    ) -> None:
        arguments = [] if host is None else ["--host", host, "--port", str(port)]
        await self._supervisor.start(Service(name, arguments, address=address, log=self._data.log(name)))

    async def _wait_ready(self) -> None:
        url = f"http://{host_port(self._options.listening.here, self._options.port)}/ready"
        deadline = time.monotonic() + _READY_PATIENCE
        while True:
            status, body = await probe.get(url)
            if status == 200:
                return
            if time.monotonic() > deadline:
                raise CannotStartError(
                    f"Everything runs, but after {_READY_PATIENCE:g} s {url} still says {_detail(body)!r}; "
                    f"the logs are in {self._data.log('api').parent}."
                )
            await asyncio.sleep(_READY_POLL_SECONDS)

    def _record(self, part: PartState) -> None:
        self._state = replace(self._state, parts=state.with_part(self._state.parts, part))
        state.write(self._data.state, self._state)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Await all of *work*; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _cancelled(*tasks)


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "nothing"
