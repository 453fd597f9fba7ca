"""Lets the catalog decide: publishes a request and gives back the verdict that its order in the topic made.

Names, versions and aliases are unique because one partition has one order. The projector accepts or rejects
each request in that order and leaves its verdict; this waits for the read model to have come so far and
reads it.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from runstone.events import CATALOG
from runstone.events.types import CatalogEvent
from runstone_gateway.facts import ReadApi
from runstone_gateway.ledger import Ledger, Needs
from runstone_gateway.mlflow.errors import INTERNAL, MlflowError, invalid
from runstone_gateway.undelivered import Conclusion

DEAD_LETTER: Final = "dead_letter"
"""Instead of a verdict's code: the projector could not apply the request."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes:
    code: why it was rejected: ``exists``, ``missing``, ``deleted``, ``active``, ``missing_version``.
    answer: facts about what was decided, see ``docs/read-model.md``.
    needs: what a read must have to see the decision.
    """

    accepted: bool
    code: str
    answer: Mapping[str, Any]
    needs: Needs


class Verdicts:
    """The way of a request through the catalog."""

    def __init__(self, ledger: Ledger, read_api: ReadApi) -> None:
        self._ledger = ledger
        self._read_api = read_api

    def request(
        self,
        make: Callable[[str], CatalogEvent],
        conclude: Callable[[Verdict], Awaitable[Mapping[str, Any]]],
    ) -> Conclusion:
        """Publish ``make(request id)`` now; the conclusion waits for its verdict and hands it to *conclude*.

        The conclusion may run again: it asks for the same verdict and publishes nothing.
        """
        request = uuid.uuid4().hex
        written = self._ledger.append(CATALOG, [make(request)])

        async def conclusion() -> Mapping[str, Any]:
            offset = await written.wait()
            found = await self._read_api.verdict(request, offset, written.needs)
            if found is None:
                raise MlflowError(
                    INTERNAL,
                    "The catalog has decided on this request, but keeps the newest decisions only, and this "
                    "one is older; read what the request was about.",
                )
            if found["code"] == DEAD_LETTER:
                raise invalid(
                    "Nothing was changed: the catalog has this request as a dead letter, which cannot be "
                    f"applied ({found['answer']['reason']})."
                )
            self._ledger.applied(*written.place, offset + 1)
            return await conclude(
                Verdict(found["accepted"], found["code"], found["answer"] or {}, written.needs)
            )

        return conclusion
