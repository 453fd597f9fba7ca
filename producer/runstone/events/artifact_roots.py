"""Where an installation's artifacts lie: a folder, or a bucket of an object store, as one variable names it.

Pure. Everybody who writes or follows a pointer agrees here on what its URI means: the root's URI, a slash,
and the file's place below the root. A folder's URIs are percent-encoded as ``file:`` URIs are; those of a
bucket are not, as everybody writes ``s3:`` URIs.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from runstone.exceptions import InvalidInputError

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Attributes:
    name: of the bucket.
    prefix: what stands before every file's place, without slashes at its ends; often empty.
    """

    name: str
    prefix: str = ""

    def as_uri(self) -> str:
        """The root's URI, without a slash at its end (a folder's `Path` answers to the same name)."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def key_of(self, uri: str) -> str | None:
        """The place below this root that *uri* names; None where it names none."""
        root = self.as_uri() + "/"
        key = uri[len(root) :]
        if not uri.startswith(root) or any(part in {"", ".", ".."} for part in key.split("/")):
            return None
        return key


ArtifactRoot = Path | Bucket


def parse_root(named: str) -> ArtifactRoot:
    """The root that RUNSTONE_ARTIFACT_ROOT names: the path of a folder, a ``file:`` or an ``s3:`` URI.

    Raises:
        InvalidInputError: it names none of them; the message says what is expected.
    """
    parts = urlsplit(named)
    if parts.scheme == "s3":
        prefix = named[len("s3://") + len(parts.netloc) :].strip("/")
        unusable = prefix and any(part in {"", ".", ".."} for part in prefix.split("/"))
        if not named.startswith("s3://") or not _BUCKET.fullmatch(parts.netloc) or unusable:
            raise InvalidInputError(
                f"RUNSTONE_ARTIFACT_ROOT is {named!r}; expected s3://BUCKET or s3://BUCKET/PREFIX with a "
                "bucket's name of 3 to 63 small letters, digits, dots and hyphens"
            )
        return Bucket(parts.netloc, prefix)
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(named)
    if not named or parts.scheme not in {"", "file"} or not path.is_absolute():
        raise InvalidInputError(
            f"RUNSTONE_ARTIFACT_ROOT is {named!r}; expected the absolute path of a folder, its file:// URI, "
            "or s3://BUCKET/PREFIX"
        )
    return path


def uri_below(root: ArtifactRoot, key: str) -> str:
    """The URI of the file that lies at *key*, a relative path, below *root*."""
    return (root / key).as_uri() if isinstance(root, Path) else f"{root.as_uri()}/{key}"
