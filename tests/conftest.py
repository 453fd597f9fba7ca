"""Fixtures for all tiers; each ``fix_*`` module holds those of one kind and says what they give."""

import os

# What a command prints must not depend on who runs the tests; their parallel processes are told a width.
os.environ.pop("COLUMNS", None)

pytest_plugins = [
    "tests.fix_services",
    "tests.fix_api",
    "tests.fix_s3",
    "tests.fix_senders",
    "tests.fix_delivery",
    "tests.fix_up",
    "tests.fix_worker",
    "tests.fix_stack",
    "tests.fix_training",
]
