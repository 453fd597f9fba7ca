"""The sender: the process that carries what lies in a machine's spool to Kafka and to the artifact store.

One runs per machine, user and spool (``lease``), started by the first client that needs it as
``python -m runstone.sender --spool DIR`` and gone again when there is nothing to do. One asyncio loop in one
thread does everything but what may block (HTTP, copying, syncing), which a few worker threads do:

``discovery`` finds the sessions, ``adoption`` is one of them, ``tail`` follows its segments,
``interleaving`` and ``packing`` turn records into envelopes, ``delivery`` moves them in bounded slabs,
``publisher`` sends them in order and keeps them until the broker has them, ``destinations`` knows whom to
send to, ``uploads`` takes the artifacts, ``liveness`` says which process is gone, ``heard`` tells gateways
which live, ``syncing`` makes segments durable, ``waking`` sleeps.

``brought`` and ``draining`` are for ``runstone sync``: the same work in the foreground, on any spool.

``detour`` is the publisher's way round by HTTP where brokers do not answer but the gateway does.

``publisher``, ``connect`` and ``kafka_settings`` know nothing of the spool; the gateway uses them too.
"""
