"""Addresses of a server, and of files in its store, as MLflow sees them through the plug-in. Pure.

``runstone://host:5000`` is the Runstone at ``http://host:5000``, ``runstone+https://host`` the one at
``https://host``; without a port the first one means 5000, as ``runstone up`` does.

The server calls a file of its store ``mlflow-artifacts:/<path>``, which MLflow resolves only against an
http address. In this process it is called ``runstone://host:5000/mlflow-artifacts/<path>``, which needs
nothing else to be found; what goes to the server is translated back.
"""

from typing import Final
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

SCHEMES: Final = {"runstone": "http", "runstone+https": "https"}
PORT: Final = 5000

_SERVERS_OWN: Final = "mlflow-artifacts:/"
_FILES: Final = "/mlflow-artifacts/"


def server(store_uri: str) -> str:
    """The http address of *store_uri*, without a slash at its end.

    Raises:
        MlflowException: it is no address of this plug-in.
    """
    try:
        parts = urlsplit(store_uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in SCHEMES or parts.query or parts.fragment or "@" in parts.netloc:
        raise MlflowException(
            f"{store_uri!r} is no address of a Runstone; expected something like 'runstone://host:5000' "
            "(credentials are taken from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN)",
            INVALID_PARAMETER_VALUE,
        )
    if port is None and parts.scheme == "runstone":
        port = PORT
    name = f"[{host}]" if ":" in host else host
    return f"{SCHEMES[parts.scheme]}://{name}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def local_uri(store_uri: str, uri: str) -> str:
    """What the server calls *uri*, as this process can use it. Stores of other kinds stay as they are."""
    if not uri.startswith(_SERVERS_OWN):
        return uri
    path = urlsplit(uri).path if uri.startswith("mlflow-artifacts://") else uri[len(_SERVERS_OWN) :]
    return f"{store_uri.rstrip('/')}{_FILES}{path.lstrip('/')}"


def servers_uri(uri: str) -> str:
    """The inverse of `local_uri`: what goes to the server is in its own words."""
    if urlsplit(uri).scheme not in SCHEMES or _FILES not in uri:
        return uri
    return _SERVERS_OWN + uri.split(_FILES, 1)[1]


def split(uri: str) -> tuple[str, str]:
    """The store's URI and the path within its files.

    Raises:
        MlflowException: *uri* was not made by `local_uri`.
    """
    store_uri, found, path = uri.partition(_FILES)
    if not found:
        raise MlflowException(
            f"{uri!r} names no file of a Runstone; expected 'runstone://host:5000/mlflow-artifacts/<path>'",
            INVALID_PARAMETER_VALUE,
        )
    return store_uri, path
