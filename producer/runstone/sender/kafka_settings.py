"""``RUNSTONE_KAFKA_*``: any security setting of aiokafka, as keyword arguments for its clients."""

import os
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.helpers import create_ssl_context

from runstone.exceptions import InvalidInputError

PREFIX: Final = "RUNSTONE_KAFKA_"

_PLAIN: Final = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
)
_TLS: Final = {
    "ssl_cafile": "cafile",
    "ssl_certfile": "certfile",
    "ssl_keyfile": "keyfile",
    "ssl_password": "password",
}


def kafka_settings(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The security settings in *environment* (by default the process's own) as aiokafka's
    keyword arguments; empty where there are none.

    Raises:
        InvalidInputError: a setting of another name, or certificates that cannot be loaded.
    """
    found: dict[str, Any] = {}
    tls: dict[str, str] = {}
    for variable, value in (os.environ if environment is None else environment).items():
        if not variable.startswith(PREFIX):
            continue
        name = variable[len(PREFIX) :].lower()
        if name in _PLAIN:
            found[name] = value
        elif name in _TLS:
            tls[_TLS[name]] = value
        else:
            accepted = ", ".join(PREFIX + known.upper() for known in (*_PLAIN, *_TLS))
            raise InvalidInputError(f"{variable} is no setting for Kafka; accepted are {accepted}")
    if tls or found.get("security_protocol") in {"SSL", "SASL_SSL"}:
        try:
            found["ssl_context"] = create_ssl_context(**tls)
        except OSError as wrong:
            raise InvalidInputError(f"{PREFIX}SSL_*: the certificates cannot be loaded: {wrong}") from wrong
    return found
