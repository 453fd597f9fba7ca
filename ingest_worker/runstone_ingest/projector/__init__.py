"""Envelopes and the rows they meet, in; changed rows, out. Pure: no clock, no connection, no randomness.

Rules are folds in topic order that read and write rows of their own stream only and never refuse an event of
a run. So the same records give the same rows, however they were packed into envelopes and batches, and
however often some of them came. ``projection`` runs the folds over a batch; ``runs``, ``models``, ``catalog``
(experiments, verdicts) and ``registry`` hold the rules, ``decisions`` what the catalog says to a request,
``points`` groups metric points with numpy, ``rows`` names the rows.
"""

from runstone_ingest.projector.projection import project
from runstone_ingest.projector.rows import Changes, Loaded

__all__ = ["Changes", "Loaded", "project"]
