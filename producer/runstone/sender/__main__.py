"""``python -m runstone.sender --spool DIR``: becomes the sender of a spool, unless there is one.

DIR is the spool's root, or the folder of this machine and boot in it. Forks itself away first, before
anything large is imported, so whoever starts it has nothing to wait for and never a zombie.
"""

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

NICE: Final = 5


def main() -> int:
    """Parse the arguments, become a daemon, send."""
    parser = argparse.ArgumentParser(prog="python -m runstone.sender", description=__doc__)
    parser.add_argument("--spool", required=True, type=Path, metavar="DIR", help="the spool to send from")
    parser.add_argument("--foreground", action="store_true", help="do not fork away")
    args = parser.parse_args()
    spool = args.spool.absolute()
    if not args.foreground:
        _fork_away()
    from runstone.sender.process import send  # noqa: PLC0415  # after the forks: they copy less

    return send(spool)


def _fork_away() -> None:
    """Be a grandchild without terminal, in a session of its own, with no file of the starter's open."""
    if os.fork():
        os._exit(0)
    os.setsid()
    _yield_to_training()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    _close_all_but_three()


def _yield_to_training() -> None:
    """Come second where the processor is short: the training is what the machine is for.

    Linux shares processors among sessions first (``autogroup``, sched(7)) and among processes by their nice
    values only within one; so the session of its own, which the caller has just begun, is made nicer as well.
    """
    try:
        os.nice(NICE)
        with open("/proc/self/autogroup", "w") as group:  # noqa: PTH123  # pathlib is large
            group.write(str(NICE))
    except OSError:
        pass  # another kernel, or it does not allow it


def _close_all_but_three() -> None:
    try:
        opened = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  # pathlib is large
    except OSError:
        os.closerange(3, 4096)
        return
    for (
        descriptor
    ) in opened:  # the limit may be a thousand million, and not every Python skips what is not open
        if descriptor > 2:
            os.closerange(descriptor, descriptor + 1)  # the one of the listing is closed by now


def _run() -> NoReturn:
    code = 1
    try:
        code = main()
    except SystemExit as left:  # a usage error, which argparse has explained
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # A worker thread may hang in a call to a server that does not answer; nothing of it is needed.
        os._exit(code)


if __name__ == "__main__":
    _run()
