"""What a route of MLflow's surface is: a write, served here, or a read, passed on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from runstone_gateway.ledger import Needs
from runstone_gateway.mlflow.decoding import Fields
from runstone_gateway.mlflow.messages import Message
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion


@dataclass(frozen=True, slots=True)
class Call:
    """One request to write.

    Attributes:
        fields: the decoded body. path: the variable parts of the path. body: as it came.
    """

    fields: Fields
    path: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """A route that appends events.

    Attributes:
        path: below ``/api/2.0/mlflow``, as aiohttp takes it.
        handle: checks the call and appends, which is the last thing it does; the conclusion that it returns
            may run several times. Raises `MlflowError`, having appended nothing.
        message: the body's shape. required: fields without which the request is refused.
        check: what else is looked at in the body's JSON before its fields are read.
        echoes: whether the answer repeats what the body holds.
    """

    method: str
    path: str
    handle: Callable[[Services, Call], Awaitable[Conclusion]]
    message: Message
    required: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] | None = None
    echoes: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A route that the read API answers, once it has what *needs* says."""

    method: str
    path: str
    needs: Callable[[Services, web.Request], Awaitable[Needs]]
