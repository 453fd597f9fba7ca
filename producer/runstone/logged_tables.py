"""Tables that a training hands in, as JSON in the layout that pandas calls "split" and MLflow loads.

``{"columns": [...], "data": [[row], …]}``: NaN, infinities and what is missing are null, times are ISO texts,
what JSON lacks becomes its text.
"""

import datetime as dt
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from runstone.exceptions import InvalidInputError
from runstone.inputs import shown

ENDING: Final = ".json"

_EXPECTED: Final = "a dict of columns, a list of dicts or a pandas DataFrame"
_PARSED: Final = set("\"',:[]{}")
"""Characters that a table's path must not have: MLflow finds tables by a pattern over a list in JSON."""


class Table:
    """Rows under named columns; columns and rows can be added."""

    def __init__(self) -> None:
        self._columns: dict[str, None] = {}
        self._rows: list[dict[str, Any]] = []

    def add(self, data: Any) -> None:
        """Append the rows of *data*; columns that are new are null in the rows before, and the reverse.

        Raises:
            InvalidInputError: it is no table; nothing was added.
        """
        columns, rows = _read(data)
        self._columns |= dict.fromkeys(columns)
        self._rows += rows

    def json(self) -> bytes:
        """The file's content."""
        data = [[row.get(name) for name in self._columns] for row in self._rows]
        return orjson.dumps({"columns": list(self._columns), "data": data})


class Tables:
    """The tables of a run that this process has logged; threads extend them one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}
        self._told = 0

    def extend(self, path: str, data: Any, keep: Callable[[bytes], bool]) -> str | None:
        """Append *data* to the table at *path*, and hand its content to *keep*.

        Returns:
            What the run's tag must say of its tables from now on; None where that is what it says.

        Raises:
            InvalidInputError: *data* is no table; nothing was appended.
        """
        with self._lock:
            table = self._tables.get(path) or Table()
            table.add(data)
            if not keep(table.json()):
                return None
            self._tables[path] = table
            if len(self._tables) == self._told:
                return None
            self._told = len(self._tables)
            # MLflow looks for a path in it by a pattern, so the form matters
            return json.dumps([{"path": each, "type": "table"} for each in self._tables])


def check_table_path(path: str) -> str:
    """*path*, by which MLflow can find a table.

    Raises:
        InvalidInputError: it does not end in ``.json``, or has a character that MLflow refuses.
    """
    if not path.endswith(ENDING) or _PARSED & set(path):
        raise InvalidInputError(
            f"log_table: artifact_file must end in {ENDING!r} and have none of the characters "
            f"{' '.join(sorted(_PARSED))}; found {shown(path)}"
        )
    return path


def _read(data: Any) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        if isinstance(data, Mapping):
            return _of_columns(data)
        if hasattr(data, "iloc") and callable(getattr(data, "to_dict", None)):
            return _of_frame(data)
        if isinstance(data, Sequence) and not isinstance(data, str | bytes):
            return _of_rows(data)
    except InvalidInputError:
        raise
    except Exception as wrong:  # whatever the __iter__, __str__ or tolist of a foreign type raises
        raise InvalidInputError(
            f"log_table: this cannot be read as a table ({type(wrong).__name__}: {wrong})"
        ) from None
    raise InvalidInputError(f"log_table: expected {_EXPECTED}, found {type(data).__name__}")


def _of_frame(frame: Any) -> tuple[list[str], list[dict[str, Any]]]:
    columns = {name: frame.iloc[:, at] for at, name in enumerate(frame.columns)}
    if len(columns) < frame.shape[1]:
        raise InvalidInputError("log_table: two columns have the same name; a table finds its cells by name")
    return _of_columns(columns)


def _of_columns(data: Mapping[Any, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    columns: dict[str, list[Any]] = {}
    for name, values in data.items():
        tolist = getattr(values, "tolist", None)  # of arrays and Series: Python's own numbers
        listed = tolist() if callable(tolist) else values
        if isinstance(listed, str | bytes) or not hasattr(listed, "__iter__"):
            listed = [listed]  # one value: a table of one row
        columns[_name(name)] = [_cell(value) for value in listed]
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(
            f"log_table: the columns must be of one length, found {shown(lengths)}; one value a column is a "
            "table of one row"
        )
    return list(columns), [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]


def _of_rows(data: Sequence[Any]) -> tuple[list[str], list[dict[str, Any]]]:
    rows = []
    for row in data:
        if not isinstance(row, Mapping):
            raise InvalidInputError(
                f"log_table: expected {_EXPECTED}, found a list with {type(row).__name__} {shown(row)}"
            )
        rows.append({_name(name): _cell(value) for name, value in row.items()})
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def _name(name: Any) -> str:
    return _text(str(name))


def _text(value: str) -> str:
    return value.encode(errors="replace").decode()  # half a surrogate pair is no JSON


def _cell(value: Any) -> Any:
    """*value* as JSON can hold it."""
    if value is None or type(value) is bool or type(value) is int:
        return value if value is None or abs(value) < 2**63 else str(value)
    if type(value) is str:
        return _text(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return None if _missing(value) else value.isoformat()
    if isinstance(value, Mapping):
        return {_name(name): _cell(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cell(inner) for inner in value]
    tolist = getattr(value, "tolist", None)
    if callable(tolist):  # numpy's scalars and arrays
        return _cell(tolist())
    return None if _missing(value) else _text(str(value))


def _missing(value: Any) -> bool:
    """Whether it is what stands for nothing: no such value equals itself, and pandas' NA says neither."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:
        return True
