"""The ``runstone`` command: finds its subcommands by entry point and runs one.

Exit codes: 0 well, 1 a finding or a failure, 2 a usage error, 130 after Ctrl-C.
"""

import argparse
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Final

from runstone._version import __version__
from runstone.exceptions import InvalidInputError, RunstoneError

_GROUP: Final = "runstone.commands"

_EXTRAS: Final = {
    "runstone_gateway": "gateway",
    "runstone_store": "worker",
    "runstone_ingest": "worker",
    "runstone_query": "api",
    "runstone_local": "local",
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``runstone`` with *arguments* (by default the process's own) and return its exit code."""
    _open_closed_streams()
    found = {point.name: point for point in entry_points(group=_GROUP)}
    parser = argparse.ArgumentParser(
        prog="runstone",
        description="An experiment tracker built as an event pipeline.",
        epilog="Run 'runstone COMMAND --help' for a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"runstone {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in sorted(found):
        try:
            module: ModuleType = found[name].load()
        except ModuleNotFoundError:
            continue
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(command_module=module, command_point=found[name])
    args = parser.parse_args(arguments)
    try:
        code = int(args.command_module.run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return 1
    except OSError as wrong:
        _forget_output()
        print(f"runstone: {_told(wrong)}", file=sys.stderr)
        return 1
    except InvalidInputError as wrong:
        print(f"runstone: {wrong}", file=sys.stderr)
        return 2
    except RunstoneError as wrong:
        print(f"runstone: {wrong}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        return _missing(args.command_point, missing)
    except KeyboardInterrupt:
        return 130
    return code


def _open_closed_streams() -> None:
    """Let what is said to a stream that is closed (``>&-``) be lost; Python has None for it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # to the end


def _told(wrong: OSError) -> str:
    """What the system refused, and where, without its number."""
    place = f"{wrong.filename}: " if wrong.filename else ""
    return f"{place}{wrong.strerror}" if wrong.strerror else str(wrong)


def _forget_output() -> None:
    """Let what could not be written be lost, so that the interpreter does not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _missing(point: EntryPoint, missing: ModuleNotFoundError) -> int:
    extra = _EXTRAS.get(point.value.split(".")[0])
    if extra is None or (missing.name or "").startswith("runstone"):
        raise missing
    print(
        f"runstone: '{point.name}' needs {missing.name}, which is not installed here: "
        f"pip install 'runstone[{extra}]'",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
