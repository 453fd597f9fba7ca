"""What a rule of the catalog says to an event: accepted, or why not, and facts for whoever waits for it.

Experiments and the registry share the codes. They are part of the contract with gateways, which turn them
into the errors of their own API.
"""

from typing import Any, Final, NamedTuple

EXISTS: Final = "exists"
"""The name is taken."""

MISSING: Final = "missing"
"""There is no experiment with this id, no registered model with this name."""

MISSING_VERSION: Final = "missing_version"
"""The registered model is there, the version is not, or no more."""

MISSING_TAG: Final = "missing_tag"
"""The experiment is there, the tag to be deleted is not."""

DELETED: Final = "deleted"
"""The experiment is deleted, and what was asked needs an active one."""

ACTIVE: Final = "active"
"""The experiment to be restored is active."""


class Decision(NamedTuple):
    """``code`` is empty where the event was accepted and applied."""

    code: str = ""
    answer: dict[str, Any] = {}  # noqa: RUF012 - never changed; shared by all that say nothing


ACCEPTED: Final = Decision()
