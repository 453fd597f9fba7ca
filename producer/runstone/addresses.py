"""A server's address as it may be shown and kept: without what only its user and the server should know."""

import re
from typing import Final

_UP_TO_THE_HOST: Final = re.compile(r"^([^:/@]*://|).*@", re.DOTALL)


def without_credentials(uri: str) -> str:
    """*uri* without the user's name and password; of a text that is no address, without all before an "@"."""
    from urllib.parse import urlsplit, urlunsplit  # noqa: PLC0415  # importing runstone must stay cheap

    if "@" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
        if parts.hostname and parts.port != 0:
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        pass
    return _UP_TO_THE_HOST.sub(r"\1", uri)
