"""Native writes below ``/api/v1``: what a person does to runs and experiments that are there already.

Deleting, restoring, tagging runs; renaming, deleting, restoring experiments. Training code needs none of it:
its events come through Kafka. The answer is what the read model has afterwards, so that nobody is told of a
change that did not happen: *changed* says whether anything had to be written at all.
"""
