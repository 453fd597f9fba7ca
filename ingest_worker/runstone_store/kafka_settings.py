"""Kafka's security settings for the services: ``RUNSTONE_KAFKA_*`` as aiokafka's keyword arguments.

``RUNSTONE_KAFKA_SASL_MECHANISM=PLAIN`` becomes ``sasl_mechanism="PLAIN"``; names are aiokafka's own, so there
is nothing to keep up with. Files for TLS are named by three settings that aiokafka wants as one context:
``RUNSTONE_KAFKA_SSL_CAFILE``, ``_SSL_CERTFILE``, ``_SSL_KEYFILE``.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.helpers import create_ssl_context

_PREFIX: Final = "RUNSTONE_KAFKA_"
_FILES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")


def security(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The keyword arguments for any aiokafka client; empty where nothing is set."""
    found: dict[str, Any] = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and value
    }
    files = {name.removeprefix("ssl_"): found.pop(name) for name in _FILES if name in found}
    if files or found.get("security_protocol", "").endswith("SSL"):
        found["ssl_context"] = create_ssl_context(**files)
    return found
