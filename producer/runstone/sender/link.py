"""One installation as reached under one tracking URI: its publisher, and this sender's own session there.

What the sender says itself (a session's end, an artifact's pointer, a lost range) it publishes under a
session of its own, fresh with each link, with seqs dense per stream from 0 like everybody's.
"""

import asyncio

from runstone.events.encoding import encode, headers
from runstone.events.envelope import Envelope
from runstone.events.identity import new_session_id
from runstone.events.types import Event
from runstone.sender.connect import Connect
from runstone.sender.packing import Packed
from runstone.sender.publisher import Publisher


class Link:
    """Used on the sender's loop.

    Attributes:
        connect: what the server answered last. session: the sender's own one here.
    """

    def __init__(self, connect: Connect, publisher: Publisher) -> None:
        self.connect = connect
        self.publisher = publisher
        self.session = new_session_id()
        self._seqs: dict[str, int] = {}

    def submit(self, packed: Packed) -> "asyncio.Future[int]":
        """Queue an envelope of a session; see `Publisher.submit`."""
        topic, partition = self.connect.place(packed.stream)
        return self.publisher.submit(topic, partition, packed.stream.encode(), packed.value, packed.headers)

    def say(self, stream: str, *events: Event) -> "tuple[int, asyncio.Future[int]]":
        """Queue *events* of the sender's own as one record.

        Returns:
            The seq of the first in the link's session, and the future of their offset.
        """
        seq, n = self._seqs.get(stream, 0), len(events)
        self._seqs[stream] = seq + n
        topic, partition = self.connect.place(stream)
        value = encode(Envelope(self.session, stream, seq, n, list(range(n)), list(events)))
        future = self.publisher.submit(
            topic, partition, stream.encode(), value, headers(self.session, stream, seq, n)
        )
        return seq, future
