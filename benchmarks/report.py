"""Prints a benchmark's table and keeps it as JSON."""

import json
import time
from collections.abc import Sequence
from typing import Any

from stack import OUT, machine


def quantile(ordered: Sequence[float], q: float) -> float:
    """The value below which the share *q* of the ascending *ordered* lies."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def said_by(output: bytes) -> dict[str, Any]:
    """The JSON object that a measured program printed; other lines are MLflow's words to people."""
    found: dict[str, Any] = json.loads(next(line for line in output.splitlines() if line.startswith(b"{")))
    return found


def report(name: str, rows: list[dict[str, object]]) -> None:
    """Print *rows* (the same columns in each) as a Markdown table and write them to out/*name*.json."""
    columns = list(rows[0])
    print(f"\n{machine()}, {time.strftime('%Y-%m-%d')}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(_shown(row.get(c)) for c in columns) + " |")
    OUT.mkdir(exist_ok=True)
    found = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "rows": rows}
    (OUT / f"{name}.json").write_text(json.dumps(found, indent=1))


def _shown(value: object) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, (int, float))
        else str(value)
    )
