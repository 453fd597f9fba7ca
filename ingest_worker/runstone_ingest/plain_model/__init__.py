"""The read model once more, as plainly as it can be said: one event after the other over dictionaries.

It is slow and keeps everything in memory, so it serves no reader. It is what the worker is measured by: the
same topics must give the same logical content here, and through projector, batches and SQL. So it shares no
rule with them, only the contract's decoding; where the two differ, one of them is wrong.

``model`` takes records and counts them, ``streams`` holds the rules of runs, logged models and sessions,
``catalog`` those of experiments and the registry, ``points`` what follows from a series' points.
"""

from runstone_ingest.plain_model.model import PlainModel

__all__ = ["PlainModel"]
