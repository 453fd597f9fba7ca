"""Kafka's security settings for the services: ``RUNSTONE_KAFKA_*`` as aiokafka's keyword arguments.

``RUNSTONE_KAFKA_SASL_MECHANISM=PLAIN`` becomes ``sasl_mechanism="PLAIN"``. The files for TLS, which aiokafka
wants as one context, are ``RUNSTONE_KAFKA_SSL_CAFILE``, ``_CERTFILE``, ``_KEYFILE`` and ``_PASSWORD``. The
sender reads the same settings by a module of its own: services do not import the client.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.helpers import create_ssl_context

from runstone.exceptions import InvalidInputError

_PREFIX: Final = "RUNSTONE_KAFKA_"
_PLAIN: Final = (
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
)
_FILES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password")


def security(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The keyword arguments for any aiokafka client; empty where nothing is set.

    Raises:
        InvalidInputError: a setting of another name, or certificates that cannot be loaded.
    """
    found: dict[str, Any] = {}
    files: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(_PREFIX) or not value:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name in _PLAIN:
            found[name] = value
        elif name in _FILES:
            files[name.removeprefix("ssl_")] = value
        else:
            accepted = ", ".join(_PREFIX + known.upper() for known in (*_PLAIN, *_FILES))
            raise InvalidInputError(f"{variable} is no setting for Kafka; accepted are {accepted}")
    if files or found.get("security_protocol", "").endswith("SSL"):
        try:
            found["ssl_context"] = create_ssl_context(**files)
        except OSError as wrong:
            raise InvalidInputError(f"{_PREFIX}SSL_*: the certificates cannot be loaded: {wrong}") from wrong
    return found
