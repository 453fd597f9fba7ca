"""Page tokens that hold how many entries went before, as MLflow's do: base64 of ``{"offset": N}``."""

import base64
import binascii
from typing import Final

from runstone_query import client_json
from runstone_query.mlflow.errors import invalid

_OFFSET_MAX: Final = 2**63 - 1


def offset_of(token: str) -> int:
    """How many entries went before the page of *token*; none where there is no token.

    Raises:
        MlflowError: 400 for anything that `token_of` did not make.
    """
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise invalid("Invalid page token, could not base64-decode") from None
    try:
        found = client_json.loads(decoded)
    except ValueError:
        raise invalid(f"Invalid page token, decoded value={decoded!r}") from None
    match found:
        case {"offset": int(offset)} if type(offset) is int and 0 < offset <= _OFFSET_MAX:
            return offset
        case _:
            raise invalid(f"Invalid page token, parsed value={str(found)[:200]}")


def token_of(offset: int) -> str:
    """The token of the page that *offset* entries go before."""
    return base64.b64encode(b'{"offset": %d}' % offset).decode()
