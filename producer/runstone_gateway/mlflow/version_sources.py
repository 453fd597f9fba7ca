"""Where a model version may come from: MLflow's rules about ``source``, checked before anything is published.

A version's source is a URI that clients will read from. It must not lead out of what it claims to be: a path
of a run or a logged model has to lie within the artifacts of the one that the request names, and a URI must
not name a host to connect to. Everything here is pure; who knows where the artifacts of a run or a model lie
comes in as a function.
"""

import posixpath
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import ParseResult, unquote, unquote_plus, urlparse, urlsplit

from runstone_gateway.mlflow.errors import invalid

_HOST_ADDRESSED: Final = frozenset(
    ("ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss")
)
"""Schemes whose repositories connect to the host in the URI, as MLflow lists them."""

_PROXY_ROUTE: Final = ("api", "2.0", "mlflow-artifacts", "artifacts")

ArtifactUri = Callable[[str], Awaitable[str | None]]
"""Where the artifacts of the run or logged model of this id lie; null where there is none."""


@dataclass(frozen=True, slots=True)
class ModelsUri:
    """What a ``models:/`` URI names: a logged model, or a version of a registered one.

    Attributes:
        model_id: of a logged model; empty for a registered one, as the others are empty for a logged one.
        name: of the registered model. version, stage, alias: at most one; without any it is the latest.
    """

    model_id: str = ""
    name: str = ""
    version: str = ""
    stage: str = ""
    alias: str = ""


def parse_models_uri(uri: str) -> ModelsUri | None:
    """What *uri* names, or nothing where it is not a proper ``models:/`` URI."""
    parsed = urlparse(uri, allow_fragments=False)
    parts = parsed.path.lstrip("/").split("/")
    if parsed.scheme != "models" or not parsed.path.startswith("/") or not parts[0].strip() or len(parts) > 2:
        return None
    if len(parts) == 2:
        name, suffix = parts
        if not suffix.strip():
            return None
        if suffix.isdigit():
            return ModelsUri(name=name, version=suffix)
        return ModelsUri(name=name) if suffix.lower() == "latest" else ModelsUri(name=name, stage=suffix)
    if "@" in parts[0]:
        name, alias = parts[0].rsplit("@", 1)
        return ModelsUri(name=name, alias=alias) if alias.strip() else None
    return ModelsUri(model_id=parts[0])


def registered_source(source: str) -> ModelsUri | None:
    """The version of a registered model that *source* names, or nothing where it is no such source.

    Raises:
        MlflowError: it is a ``models:/`` URI, but names another registry or nothing at all.
    """
    parsed = _parsed(source)
    if parsed.scheme != "models":
        return None
    if parsed.netloc:
        raise invalid(
            f"Invalid model version source: '{source}'. Registered model sources must use the active model "
            "registry."
        )
    found = parse_models_uri(source) or _refuse(source, "model_id")
    return None if found.model_id else found


def check_scheme(source: str) -> None:
    """Refuse a source that names a host to connect to."""
    parsed = _parsed(source)
    if parsed.scheme in _HOST_ADDRESSED and (parsed.netloc or parsed.scheme != "mlflow-artifacts"):
        raise invalid(
            f"'source' cannot use the '{parsed.scheme}' scheme: the '{parsed.scheme}' scheme addresses a "
            "host other than the tracking server's configured artifact storage, so the server would connect "
            "to the host named in the URI."
        )


async def check_source_of_run(source: str, run_id: str, artifact_uri: ArtifactUri) -> None:
    """Refuse a source that is not of run *run_id* although it must be. *run_id* may be empty."""
    if _is_local(source):
        if run_id:
            folder = await artifact_uri(run_id) or _refuse(source, "run_id")
            source = _local_path(source)
            if _local_within(source, folder):
                return
        raise invalid(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the "
            "run_id request parameter has to be specified and the local path has to be contained within the "
            "artifact directory of the run specified by the run_id."
        )
    _check_absolute(source)
    parsed = _parsed(source)
    if parsed.scheme == "runs":
        if parsed.netloc or not run_id or parsed.path.lstrip("/").split("/")[0] != run_id:
            _refuse(source, "run_id")
        return
    if parsed.scheme == "models" and (parsed.netloc or _models_uri(source).model_id):
        _refuse(source, "model_id")
    if _is_proxied(source):
        root = await artifact_uri(run_id) if run_id else None
        if root is None or not _within(source, root):
            _refuse(source, "run_id")


async def check_source_of_model(source: str, model_id: str, artifact_uri: ArtifactUri) -> None:
    """Refuse a source that is not of the logged model *model_id* although it must be."""
    if _is_local(source):
        folder = await artifact_uri(model_id) or _refuse(source, "model_id")
        source = _local_path(source)
        if _local_within(source, folder):
            return
        raise invalid(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the "
            "model_id request parameter has to be specified and the local path has to be contained within "
            "the artifact directory of the run specified by the model_id."
        )
    _check_absolute(source)
    parsed = _parsed(source)
    if parsed.scheme == "models":
        named = _models_uri(source).model_id
        if parsed.netloc or (named and named != model_id):
            _refuse(source, "model_id")
        return
    if parsed.scheme == "runs":
        _refuse(source, "model_id")
    if _is_proxied(source):
        root = await artifact_uri(model_id)
        if root is None or not _within(source, root):
            _refuse(source, "model_id")


def _models_uri(source: str) -> ModelsUri:
    return parse_models_uri(source) or _refuse(source, "model_id")


def _refuse(source: str, parameter: str) -> NoReturn:
    raise invalid(
        f"Invalid model version source: '{source}'. The {parameter} request parameter must identify the "
        "resource that contains the source."
    )


def _parsed(source: str) -> ParseResult:
    try:
        return urlparse(source)
    except ValueError:  # such as a bracket that no IPv6 address closes
        raise invalid(f"Invalid model version source: '{source}'.") from None


def _is_local(source: str) -> bool:
    parsed = _parsed(source)
    if (
        parsed.scheme == "file"
        and parsed.hostname
        and not re.match(r"\.$|localhost|127\.0\.0\.1", parsed.hostname)
    ):
        raise invalid(
            f"{source} is not a valid remote uri. For remote access on windows, please consider using a "
            "different scheme such as SMB (e.g. smb://<hostname>/<path>).",
        )
    return parsed.scheme in {"", "file"}


def _local_path(uri: str) -> str:
    path = urlparse(uri).path if uri.startswith("file:") else uri
    return posixpath.normpath(_unquoted(path))


def _local_within(source: str, root: str) -> bool:
    path, folder = _local_path(source), _local_path(root)
    return urlparse(root).scheme in {"", "file"} and (
        path == folder or path.startswith(folder.rstrip("/") + "/")
    )


def _check_absolute(source: str) -> None:
    """Refuse relative parts and NUL, however they are encoded."""
    plain = source
    while (again := unquote_plus(plain)) != plain:
        plain = again
    path = re.sub("/+", "/", _parsed(plain).path.rstrip("/"))
    if (
        "\0" in path
        or ".." in plain.split("/")
        or not path.startswith("/")
        or posixpath.normpath(path) != path
    ):
        raise invalid(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file "
            "path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without "
            "relative path references present. Please provide an absolute path."
        )


def _unquoted(text: str) -> str:
    while (again := unquote(text)) != text:
        text = again
    return text


def _parts(uri: str) -> tuple[str, str, tuple[str, ...]]:
    split = urlsplit(uri)
    return (
        split.scheme.lower(),
        split.netloc.lower(),
        tuple(_unquoted(part) for part in split.path.split("/") if part),
    )


def _within(source: str, root: str) -> bool:
    scheme, host, parts = _parts(source)
    root_scheme, root_host, root_parts = _parts(root)
    return (
        (scheme, host) == (root_scheme, root_host)
        and bool(root_parts)
        and parts[: len(root_parts)] == root_parts
    )


def _is_proxied(source: str) -> bool:
    scheme, _, parts = _parts(source)
    if scheme == "mlflow-artifacts":
        return True
    n = len(_PROXY_ROUTE)
    return scheme in {"http", "https"} and any(
        parts[at : at + n] == _PROXY_ROUTE for at in range(len(parts) - n + 1)
    )
