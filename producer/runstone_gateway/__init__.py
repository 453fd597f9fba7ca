"""The front door: one HTTP address for everything.

Writes of programs that cannot speak Kafka become events here, artifacts are taken in, and reads are passed
on to the read API. ``app`` wires it, each route's behaviour lies in a module of its own.
"""
