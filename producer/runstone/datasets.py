"""What is recorded of a dataset that a run read: name, digest, schema and size; never the data itself.

Schema and profile are written as MLflow writes them, so that its interface shows them. Nothing is imported:
whoever hands in an array or a DataFrame has its library.

**The digest** is the beginning of a SHA-256 over names, types, shapes and content. Of data larger than
`HASHED_MOST` only evenly spaced rows are content, so that the call stays short; two large datasets that
differ in other rows alone then have the same digest.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from runstone import notices
from runstone.context import quick_context, source
from runstone.events import limits
from runstone.events.types import DatasetInput
from runstone.exceptions import InvalidInputError
from runstone.inputs import checked_key, clean, shown, text

HASHED_MOST: Final = 256 * limits.MIB
"""Bytes of content that are hashed, a quarter of a second's work; of larger data a part."""

DIGEST_LENGTH: Final = 16
"""Hexadecimal digits; MLflow's own have 8, and it takes up to 36."""

NAME_MAX: Final = 500
DIGEST_MAX: Final = 36
TAG_VALUE_MAX: Final = 500
"""Characters; MLflow's limits."""

FIELD_MAX: Final = 64 * limits.KIB
"""Bytes of a source, schema or profile: three of them fit an event. Of a longer schema the first columns are
kept."""

CONTEXT_TAG: Final = "mlflow.data.context"
"""The tag of an input that says what for: training, validation."""

_COLUMN_TYPES: Final = {
    "bool": "boolean", "int8": "integer", "int16": "integer", "int32": "integer", "int64": "long",
    "uint8": "integer", "uint16": "integer", "uint32": "long", "uint64": "long",
    "float16": "float", "float32": "float", "float64": "double", "int": "long", "float": "double",
    "bytes": "binary", "datetime": "datetime", "date": "datetime", "timestamp": "datetime",
    "boolean": "boolean",
}  # fmt: skip
"""A type's name in numpy or Python -> MLflow's; everything else is shown as text."""


class Description(NamedTuple):
    """What was found out about some data."""

    digest: str
    schema: str
    profile: str


def dataset_input(
    dataset: Any,
    *,
    name: str,
    digest: str,
    context: str,
    origin: str,
    schema: str | Mapping[str, str],
    tags: Mapping[str, Any],
    time: int,
    strict: bool = False,
) -> DatasetInput:
    """The event for *dataset*; what is not empty is taken as given, the rest is found out.

    Raises:
        InvalidInputError: nothing is known about data of this kind and no digest is given, or a text is not
            what it must be.
    """
    for what, given in (("name", name), ("digest", digest), ("context", context), ("source", origin)):
        if not isinstance(given, str):
            raise InvalidInputError(f"log_input: {what} must be a text, found {shown(given)}")
    found = _found_out(dataset)
    if not found and not (digest and name):
        raise InvalidInputError(
            "log_input: expected a pandas DataFrame, a numpy array, a dict of columns or an MLflow dataset; "
            f"of {type(dataset).__name__} give name and digest yourself"
        )
    if origin or "source" not in found:
        found |= _source(origin)
    if told := schema if isinstance(schema, str) else _schema_given(schema):
        found["schema"] = told
    return DatasetInput(
        name=_bounded("name", name or found.get("name", "dataset"), NAME_MAX),
        digest=_bounded("digest", digest or found["digest"], DIGEST_MAX),
        time=time,
        source_type=clean(found.get("source_type", ""), NAME_MAX),
        source=_field("source", found["source"]),
        schema=_field("schema", found.get("schema", "")),
        profile=_field("profile", found.get("profile", "")),
        tags=_tags(context, tags, strict=strict),
    )


def _found_out(dataset: Any) -> dict[str, str]:
    """What a dataset of a known kind says of itself; nothing of others."""
    try:
        if _of_mlflow(dataset):
            return {key: value for key, value in dataset.to_dict().items() if isinstance(value, str)}
        described = _described(dataset)
    except Exception as wrong:  # foreign types may raise anything
        raise InvalidInputError(
            f"log_input: data of type {type(dataset).__name__} cannot be described "
            f"({type(wrong).__name__}: {wrong}); give name and digest without it"
        ) from None
    return {} if described is None else described._asdict()


def _schema_given(schema: object) -> str:
    try:
        types = [(str(name), str(kind)) for name, kind in schema.items()]  # type: ignore[attr-defined]
    except Exception:  # whatever else has, or has not, something called items
        raise InvalidInputError(
            "log_input: schema must be a dict of column names and their types, or a text of MLflow's form; "
            f"found {shown(schema)}"
        ) from None
    return _column_schema(types) if types else ""


def _tags(context: str, tags: Mapping[str, Any], *, strict: bool) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise InvalidInputError(f"log_input: tags must be a dict, found {type(tags).__name__}")
    found = {}
    for name, value in tags.items():
        key = checked_key(name, "tag")
        found[key], altered = text(value, TAG_VALUE_MAX)
        if altered and strict:
            raise InvalidInputError(
                f"log_input: tag {key!r} would be {altered}; RUNSTONE_STRICT=1 does not allow it"
            )
        if altered:
            notices.warn_once("altered input tag", f"tag {key!r} of a dataset was {altered}")
    return found | ({CONTEXT_TAG: _bounded("context", context, TAG_VALUE_MAX)} if context else {})


def _bounded(what: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or not value or len(value) > longest:
        raise InvalidInputError(
            f"log_input: {what} must be a text of 1 to {longest} characters, found {shown(value)}"
        )
    return clean(value, longest)


def _field(what: str, value: str) -> str:
    if len(value.encode(errors="replace")) <= FIELD_MAX:
        return clean(value, FIELD_MAX)
    notices.warn_once(
        f"dataset's {what}", f"a dataset's {what} is not recorded: it is longer than {FIELD_MAX // 1024} KiB"
    )
    return ""


def _source(origin: str) -> dict[str, str]:
    """Where the data comes from: a path or URI, else the program that logs it."""
    if not origin:
        tags = {
            "mlflow.user": quick_context(-1)["user"],
            "mlflow.source.name": source(),
            "mlflow.source.type": "LOCAL",
        }
        return {"source_type": "code", "source": json.dumps({"tags": tags})}
    try:
        scheme = urlsplit(origin).scheme.lower()
    except ValueError:  # such as a bracket that no IPv6 address closes: a file may be called so
        scheme = ""
    if scheme in {"http", "https"}:
        return {"source_type": "http", "source": json.dumps({"url": origin})}
    return {"source_type": scheme or "local", "source": json.dumps({"uri": origin})}


def _of_mlflow(dataset: Any) -> bool:
    return (
        callable(getattr(dataset, "to_dict", None))
        and hasattr(dataset, "digest")
        and hasattr(dataset, "source")
    )


def _described(dataset: Any) -> Description | None:
    if hasattr(dataset, "iloc") and hasattr(dataset, "columns"):
        return _of_frame(dataset)
    if (
        hasattr(dataset, "dtype")
        and hasattr(dataset, "shape")
        and callable(getattr(dataset, "tobytes", None))
    ):
        return _of_arrays({"": dataset})
    if isinstance(dataset, Mapping) and dataset:
        columns = {str(name): values for name, values in dataset.items()}
        if all(_is_array(values) for values in columns.values()):
            return _of_arrays(columns)
        if all(_is_column(values) for values in columns.values()):
            return _of_lists(columns)
        content = json.dumps(columns, sort_keys=True, default=str)
        return Description(_digest([content.encode(errors="replace")]), "", content)
    return None


def _is_array(values: Any) -> bool:
    return (
        hasattr(values, "dtype") and hasattr(values, "shape") and callable(getattr(values, "tobytes", None))
    )


def _is_column(values: Any) -> bool:
    return _is_array(values) or (isinstance(values, Sequence) and not isinstance(values, str | bytes))


def _of_frame(frame: Any) -> Description:
    from pandas.util import hash_pandas_object  # noqa: PLC0415  # whose frame it is

    step = _step(int(frame.memory_usage(index=False).sum()))
    rows, columns = frame.shape
    content: list[Any] = [f"{rows}".encode()]
    for at, name in enumerate(frame.columns):
        column = frame.iloc[::step, at]
        content.append(f"{name}\0{column.dtype}".encode(errors="replace"))
        if getattr(column.dtype, "kind", "O") in "biufc":
            content.append(_bytes(column.to_numpy()))
            continue
        try:
            hashed = hash_pandas_object(column, index=False)
        except TypeError:  # lists and dicts in cells
            hashed = hash_pandas_object(column.astype(str), index=False)
        content.append(_bytes(hashed.to_numpy()))
    missing = frame.isna().any().tolist() if step == 1 else [True] * columns
    types = [(str(name), _type(str(dtype))) for name, dtype in zip(frame.columns, frame.dtypes, strict=True)]
    profile = {"num_rows": rows, "num_elements": rows * columns}
    return Description(_digest(content), _column_schema(types, missing), json.dumps(profile))


def _of_arrays(arrays: Mapping[str, Any]) -> Description:
    step = _step(sum(int(array.nbytes) for array in arrays.values()))
    content: list[Any] = []
    for name, array in arrays.items():
        content.append(f"{name}\0{array.dtype}\0{array.shape}".encode(errors="replace"))
        content.append(_bytes(array[::step] if array.ndim and step > 1 else array))

    def told(attribute: Callable[[Any], Any]) -> Any:
        found = {name: attribute(array) for name, array in arrays.items()}
        return found[""] if list(found) == [""] else found

    profile = {
        "features_shape": told(lambda array: list(array.shape)),
        "features_size": told(lambda array: int(array.size)),
        "features_nbytes": told(lambda array: int(array.nbytes)),
    }
    specs = [
        ({"name": name} if name else {})
        | {"type": "tensor", "tensor-spec": {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]]}}
        for name, array in arrays.items()
    ]
    features = _fitting(specs)
    schema = {"mlflow_tensorspec": {"features": features, "targets": None}}
    return Description(_digest(content), json.dumps(schema), json.dumps(profile))


def _of_lists(columns: Mapping[str, Any]) -> Description:
    listed = {
        name: values.tolist() if _is_array(values) else list(values) for name, values in columns.items()
    }
    content = json.dumps(listed, default=str).encode(errors="replace")
    missing = [None in values for values in listed.values()]
    types = [
        (name, _type(next((type(value).__name__ for value in values if value is not None), "str")))
        for name, values in listed.items()
    ]
    profile = {
        "num_rows": max(map(len, listed.values())),
        "num_elements": sum(map(len, listed.values())),
    }
    return Description(_digest([content]), _column_schema(types, missing), json.dumps(profile))


def _type(name: str) -> str:
    name = name.lower()  # pandas calls those that know missing values Int64
    return "datetime" if name.startswith("datetime64") else _COLUMN_TYPES.get(name, "string")


def _column_schema(types: Iterable[tuple[str, str]], missing: Sequence[bool] = ()) -> str:
    specs = [{"type": kind, "name": name} for name, kind in types]
    for spec, absent in zip(specs, missing, strict=False):
        spec["required"] = not absent  # type: ignore[assignment]
    return json.dumps({"mlflow_colspec": json.loads(_fitting(specs))})


def _fitting(specs: Sequence[Mapping[str, Any]]) -> str:
    """The specs as a JSON list; the first ones where all would be larger than a field may be."""
    room = FIELD_MAX // 2  # a list within a text has its quotes escaped
    written: list[str] = []
    for spec in specs:
        written.append(json.dumps(spec))
        room -= len(written[-1]) + 2
        if room < 0:
            written.pop()
            notices.warn_once(
                "dataset's columns",
                f"a dataset has {len(specs)} columns; its schema holds the first {len(written)}",
            )
            break
    return f"[{', '.join(written)}]"


def _step(size: int) -> int:
    """Every which row is hashed of data of *size* bytes."""
    return max(1, -(-size // HASHED_MOST))


def _bytes(array: Any) -> Any:
    """The content of an array, as its elements' text where they are objects."""
    if array.dtype.hasobject:
        return json.dumps(array.tolist(), default=str).encode(errors="replace")
    try:
        return memoryview(array).cast("B")
    except (ValueError, TypeError):  # not contiguous, empty, or a type of numpy's own such as a time
        return array.tobytes()


def _digest(content: Iterable[Any]) -> str:
    hashed = hashlib.sha256()
    for part in content:
        hashed.update(part)
        hashed.update(b"\0")
    return hashed.hexdigest()[:DIGEST_LENGTH]
