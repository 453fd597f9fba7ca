"""What the commands' arguments may be, for argparse."""

import argparse


def text(found: str) -> str:
    """What can be sent as UTF-8."""
    try:
        found.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{found!a} is no UTF-8") from None
    return found


def run_id(found: str) -> str:
    """A run's id, or its beginning."""
    if not found.strip():
        raise argparse.ArgumentTypeError("a run's id is empty")
    return text(found)
