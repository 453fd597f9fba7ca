"""The event contract: what travels through the topics, and nothing else.

``types`` names every event and what its fields mean, ``envelope`` the record that carries events of one
stream, ``encoding`` the bytes of it, ``limits`` the sizes, ``identity`` the ids that need no server.
``docs/events.md`` says the same for people who write a client in another language, and
``tests/contract/events/v1`` holds records that must stay readable for ever.
"""

from runstone.events.encoding import decode, encode
from runstone.events.envelope import CATALOG, VERSION, Envelope, PointTable, cut
from runstone.events.types import Event

__all__ = ["CATALOG", "VERSION", "Envelope", "Event", "PointTable", "cut", "decode", "encode"]
