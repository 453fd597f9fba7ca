"""Keeps the numbers 0, 1 and 2 off the spool's files.

A program that was started with closed standard streams (``2>&-``, some daemons) gives their numbers to the
next files it opens. What a library in C then says to stderr would be written into one of them.
"""

import os


def occupy() -> None:
    """Open the null device in place of each standard stream that is closed; programs started inherit none.

    Raises:
        OSError: it cannot be opened.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) < 3:
        pass
    os.close(descriptor)
