"""Numbered migrations: ``meta/`` for the schema of the generations, ``generation/`` for each read model.

A file is ``NNNN_what_it_does.sql``; it is applied once, in the order of the numbers, with ``search_path`` set
to the schema it changes, and never edited afterwards: its checksum is kept. ``schema.sql`` is what they lead
to, and a test compares the two. ``runner`` applies them.
"""

from runstone_store.migrations.runner import migrate, script

__all__ = ["migrate", "script"]
