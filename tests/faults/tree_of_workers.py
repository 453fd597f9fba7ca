"""A training program with eight workers, made up from a seed: ``python tree_of_workers.py SEED FOLDER``.

Every process of it logs points 0, 1, 2, … under keys of its own, to the one run, and counts in a mapped file
``FOLDER/<key>`` how many calls have returned; the file outlives a process that is killed. The program says its
run's id first. What it does is decided by the seed alone, how it is scheduled is not.
"""

import contextlib
import mmap
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import runstone

WORKERS = 8
METHODS = ("fork", "spawn", "forkserver")
ENDS = ("return", "return", "raise", "exit", "at once", "killed")


def counter(folder: Path, key: str) -> mmap.mmap:
    (folder / key).write_bytes(bytes(8))
    with (folder / key).open("r+b") as file:
        return mmap.mmap(file.fileno(), 8)


def log(folder: Path, key: str, seed: str, end: str = "return") -> None:
    """A worker's part, and how it ends."""
    chance = random.Random(seed)
    n = chance.choice((1, 7, 300, 3000))
    returned = counter(folder, key)
    for i in range(n):
        runstone.log_metric(key, i, i)
        returned[:] = (i + 1).to_bytes(8, "little")
        if chance.random() < 0.01:
            time.sleep(0.001)
    if end == "raise":
        raise ValueError(key)
    if end == "exit":
        sys.exit(3)
    if end == "at once":
        os._exit(0)
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


class Program:
    """What the seed says."""

    def __init__(self, seed: str, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.chance = random.Random(seed)
        self.stop = threading.Event()

    def parts(self) -> list[tuple[Path, str, str]]:
        return [(self.folder, f"worker{i}", f"{self.seed}.{i}") for i in range(WORKERS)]

    def end(self) -> str:
        return self.chance.choice(ENDS)

    def processes(self) -> None:
        context = multiprocessing.get_context(self.chance.choice(METHODS))
        started = [context.Process(target=log, args=(*part, self.end())) for part in self.parts()]
        for process in started:
            process.start()
        for process in started:
            process.join()

    def pool(self) -> None:
        with multiprocessing.get_context(self.chance.choice(METHODS)).Pool(WORKERS) as pool:
            pool.starmap(log, self.parts())

    def executor(self) -> None:
        context = multiprocessing.get_context(self.chance.choice(METHODS))
        with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
            list(executor.map(log, *zip(*self.parts(), strict=True)))

    def forks(self) -> None:
        wait_for([self.fork(*part) for part in self.parts()])

    def forks_in_threads(self) -> None:
        threads = [
            threading.Thread(target=lambda part=part: wait_for([self.fork(*part)])) for part in self.parts()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def forks_of_forks(self) -> None:
        self.descend(self.parts())

    def descend(self, parts: list[tuple[Path, str, str]]) -> None:
        if not parts:
            return
        folder, key, seed = parts[0]
        if (child := os.fork()) == 0:
            with leaving():
                log(folder, key, seed)
                self.descend(parts[1:])
        wait_for([child])

    def forks_that_outlive(self) -> None:
        """Children that log on when their parent, which started the run, is gone."""
        parent = os.getpid()
        for folder, key, seed in self.parts():
            if os.fork() == 0:
                with leaving():
                    runstone.log_metric(f"{key}.early", 0)
                    while os.getppid() == parent:
                        time.sleep(0.005)
                    log(folder, key, seed)

    def forks_in_a_handler(self) -> None:
        """A signal handler that interrupts log calls and forks."""
        parts = self.parts()
        children: list[int] = []

        def handle(_number: int, _frame: object) -> None:
            if parts:
                children.append(self.fork(*parts.pop()))

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        returned, i = counter(self.folder, "busy"), 0
        while parts:
            runstone.log_metric("busy", i, i)
            i += 1
            returned[:] = i.to_bytes(8, "little")
        signal.setitimer(signal.ITIMER_REAL, 0)
        wait_for(children)

    def forks_that_return_from_a_handler(self) -> None:
        """A signal handler that interrupts log calls and forks; the child goes on where it was interrupted.

        So the call in progress goes on in both, and its point may be there twice: the key says "any".
        """
        parts = self.parts()
        children: list[int] = []
        mine: list[tuple[Path, str, str]] = []

        def handle(_number: int, _frame: object) -> None:
            if not parts or mine:
                return
            part = parts.pop()
            if (child := os.fork()) == 0:
                mine.append(part)
            else:
                children.append(child)
                signal.setitimer(signal.ITIMER_REAL, 0.005)

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        i = 0
        while parts and not mine:
            runstone.log_metric(f"any{i % 3}", i, i)
            runstone.log_param(f"any{i}", "x" * 5000)
            i += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        for part in mine:
            with leaving():
                log(*part)
        wait_for(children)

    def fork(self, folder: Path, key: str, seed: str) -> int:
        end = self.end()
        if (child := os.fork()) == 0:
            with leaving():
                log(folder, key, seed, end)
        return child

    def chat(self, key: str) -> None:
        """A thread of the parent that logs while others fork."""
        returned, i = counter(self.folder, key), 0
        while not self.stop.is_set():
            runstone.log_metric(key, i, i)
            i += 1
            returned[:] = i.to_bytes(8, "little")
            if i % 50 == 0:
                time.sleep(0.002)

    def run(self) -> None:
        ways = (
            *(self.processes, self.pool, self.executor, self.forks, self.forks_in_threads),
            *(self.forks_of_forks, self.forks_that_outlive, self.forks_in_a_handler),
            self.forks_that_return_from_a_handler,
        )
        with runstone.start_run() as run:
            print(run.run_id, flush=True)
            threads = [
                threading.Thread(target=self.chat, args=(f"thread{i}",))
                for i in range(self.chance.choice((0, 1, 2)))
            ]
            for thread in threads:
                thread.start()
            ways[int(self.seed.partition(".")[0]) % len(ways)]()
            self.stop.set()
            for thread in threads:
                thread.join()
            log(self.folder, "parent", self.seed)


@contextlib.contextmanager
def leaving():
    """A forked child goes no further than this block."""
    try:
        yield
    except SystemExit:
        pass
    except ValueError:
        os._exit(1)
    os._exit(0)


def wait_for(children: list[int]) -> None:
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    Program(sys.argv[1], Path(sys.argv[2])).run()
