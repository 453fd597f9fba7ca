"""From the topics into Postgres, each event exactly once.

``worker`` runs it, ``ownership`` says which partitions are ours, ``batching`` gathers, ``projector`` turns
envelopes into rows without any I/O, ``writer`` opens the one transaction that stores rows, offsets, marks
and dead letters together.
"""
