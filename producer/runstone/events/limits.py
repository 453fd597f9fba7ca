"""Sizes and ranges of the contract, in one place, each with its unit and its reason."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

EVENT_MAX: Final = 256 * KIB
"""Bytes of one event. What is larger (a dataset's profile) becomes an artifact with a pointer."""

ENVELOPE_USUAL: Final = 512 * KIB
"""Bytes at which a sender closes an envelope: large enough that a broker's work per record vanishes."""

ENVELOPE_MAX: Final = 4 * MIB
"""Bytes of one envelope. Below the topic's limit, because a broker counts headers and batch overhead."""

TOPIC_MAX: Final = 8 * MIB
"""Bytes: ``max.message.bytes`` of both topics."""

KEY_MAX: Final = 250
"""Characters of a metric, param or tag key; MLflow's limit, so that every key here fits there."""

PARAM_VALUE_MAX: Final = 6000
TAG_VALUE_MAX: Final = 8000
"""Characters; MLflow's limits. The client truncates what is longer and says so once."""

EXPERIMENT_TAG_VALUE_MAX: Final = 20_000
"""Characters; MLflow's."""

RUN_NAME_MAX: Final = 500
EXPERIMENT_NAME_MAX: Final = 500
"""Characters; the second is MLflow's."""

REGISTERED_NAME_MAX: Final = 256
"""Characters of a registered model's name, or of an alias; what MLflow's own tables hold."""

ARTIFACT_PATH_MAX: Final = 900
"""Bytes of an artifact's path within its run as UTF-8; object stores stop at 1024 for a whole key."""

ARTIFACT_NAME_MAX: Final = 255
"""Bytes of each name in it; file systems stop there."""

INDEXED_MAX: Final = 2000
"""Bytes of UTF-8 that texts which form one index entry may have together (a metric's key with model and
dataset, a dataset's name and digest); a page of Postgres holds 2704. What has more becomes a dead letter."""

STEP_MIN: Final = -(2**63)
STEP_MAX: Final = 2**63 - 1
"""A step is a signed 64-bit integer, as in Postgres and in MLflow."""

TIME_MAX: Final = 253_402_300_799_999
"""Milliseconds: the last one of the year 9999. A time lies between 0 (1970) and here."""

EXPERIMENT_ID_MAX: Final = 2**53 - 1
"""An experiment's id stays exact in languages whose only number is a double."""


def check_ladder() -> None:
    """Assert that an event fits an envelope and an envelope fits the topic; called when a service starts."""
    if not EVENT_MAX < ENVELOPE_USUAL < ENVELOPE_MAX < TOPIC_MAX:
        raise AssertionError("events.limits: EVENT_MAX < ENVELOPE_USUAL < ENVELOPE_MAX < TOPIC_MAX must hold")
