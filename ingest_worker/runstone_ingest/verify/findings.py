"""What a check finds: facts for a person, and whether all is well."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

WRONG: Final = "wrong"
"""The read model is not what the topics say, or cannot be shown to be."""

LOST: Final = "lost"
"""Records of a session that has ended never came, and nobody has declared that they would not."""

NOTED: Final = "noted"
"""Worth knowing; all is well nevertheless."""


@dataclass(frozen=True, slots=True)
class Finding:
    """*where* something is, and *what* it is: a sentence."""

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class PartitionCount:
    """A partition as the read model counts it; ``applied + duplicates + dead`` are its records.

    Attributes:
        behind: records of the topic that are not applied yet; None where Kafka does not tell.
    """

    topic: str
    partition: int
    next_offset: int
    records: int
    applied: int
    duplicates: int
    dead: int
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """A stream that was made again by the plain model; *digest* is that of ``runstone replay verify``."""

    stream: str
    points: int
    digest: str
    same: bool


@dataclass(slots=True)
class Report:
    """Everything that was checked.

    Attributes:
        installation_id: None where the catalog was not applied yet.
        scanned: records of the topics that were read; None where none were.
        streams, sessions: how many there are, counting a session in each stream that it wrote to.
    """

    generation: str
    installation_id: str | None = None
    partitions: list[PartitionCount] = field(default_factory=list)
    streams: int = 0
    sessions: int = 0
    points: int = 0
    scanned: int | None = None
    sample: list[Sampled] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, where: str, what: str) -> None:
        self.findings.append(Finding(kind, where, what))

    @property
    def well(self) -> bool:
        """Whether nothing is wrong and nothing is lost."""
        return all(finding.kind == NOTED for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {"well": self.well} | asdict(self)
