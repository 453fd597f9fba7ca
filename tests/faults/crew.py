"""Worker processes of one installation, which tests kill, stop and let go on."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.installation import Installation


class Crew:
    """Made with `crew`; everything that still runs is killed after the block."""

    def __init__(self, of: Installation, log: Path, environment: dict[str, str]) -> None:
        """*log*: receives what they say on stderr. *environment*: more variables."""
        self._environment = of.environment(PYTHONFAULTHANDLER="1", **environment)
        self.log = log
        self._all: list[Process] = []

    async def start(self, *arguments: str, module: str = "worker_at_a_point") -> Process:
        """A worker: a plain one, or with *arguments* what the *module* beside this one makes of them."""
        program = (f"tests.faults.{module}", *arguments) if arguments else ("runstone.cli", "worker")
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *program),
                stdout=DEVNULL,
                stderr=log,
                env=self._environment,
            )
        self._all.append(process)
        return process

    async def end(self, process: Process, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal that ends it, and wait for that."""
        if process.returncode is None:
            process.send_signal(number)
            if number is not signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            await process.wait()

    async def end_all(self) -> None:
        """Raises AssertionError where one has ended neither well nor by a SIGKILL."""
        codes = [process.returncode for process in self._all]
        for process in self._all:
            await self.end(process)
        assert not {*codes} - {None, 0, -signal.SIGKILL}, f"{codes}\n{self.log.read_text()[-5000:]}"


@asynccontextmanager
async def crew(of: Installation, folder: Path, **environment: str) -> AsyncIterator[Crew]:
    """The workers of an installation; *folder* is where they log, *environment* holds more variables."""
    made = Crew(of, folder / f"{of.prefix}.log", environment)
    try:
        yield made
    except BaseException:
        print(f"what the workers said last:\n{made.log.read_text()[-5000:]}")
        raise
    finally:
        await made.end_all()


async def stopped(process: Process) -> bool:
    """Whether it has been stopped by a signal."""

    def state() -> str:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    return await asyncio.to_thread(state) == "T"
