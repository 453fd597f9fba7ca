"""How commands print: lines for a terminal, JSON for programs."""

import os
import sys


def print_json(found: object) -> int:
    """Print *found*; the command's exit code."""
    import orjson  # noqa: PLC0415  # 'runstone --help' must stay quick

    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return 0


def print_lines(lines: list[str]) -> None:
    """Print lines, also where the terminal knows no Unicode."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    print("\n".join(lines))


def width() -> int | None:
    """The terminal's, in cells; None where nothing need be cut."""
    import shutil  # noqa: PLC0415  # 'runstone --help' must stay quick

    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None


def bold() -> bool:
    """Whether what stands out is printed in bold."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
