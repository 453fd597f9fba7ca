"""The spool: what training code has said and the brokers have not acknowledged yet, on a local disk.

The spool *is* the queue between the training process, which appends (``writer``), and the sender process,
which reads (``reader``, ``recovery``). ``layout`` names the files, ``segment`` the bytes in them;
``docs/spool.md`` describes both well enough to write a reader from.
"""
