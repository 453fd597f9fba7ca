"""Checks a read model against the topics that it was made from.

``checking`` goes through everything in one snapshot, ``accounting`` counts the topics' records and seqs once
more by their headers, ``findings`` is what comes out. What a sample of the streams says is compared with the
plain model, which reads them by rules of its own.
"""

from runstone_ingest.verify.checking import verify
from runstone_ingest.verify.findings import Report

__all__ = ["Report", "verify"]
