"""Reading the topics as a user: every event once, in its stream's order, with the place where it lies.

`runstone.read_events` is the call. ``reader`` fetches, ``choice`` says what is asked for, ``unpacking`` makes
events of records, ``members`` knows which streams belong to an experiment, ``position`` is where to go on.
Nothing here is imported with ``runstone``: aiokafka alone would take longer than all of the client.
"""

from runstone.ledger.items import LedgerEvent, Point, Unreadable
from runstone.ledger.reader import EventReader

__all__ = ["EventReader", "LedgerEvent", "Point", "Unreadable"]
