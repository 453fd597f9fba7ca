"""The media type of a file by its name, as MLflow's server guesses it: what people read is text."""

import mimetypes
from typing import Final

_TEXT: Final = frozenset(
    ("txt", "log", "err", "cfg", "conf", "cnf", "cf", "ini", "properties", "prop", "hocon", "toml", "yaml",
     "yml", "xml", "json", "js", "py", "py3", "csv", "tsv", "md", "rst", "ipynb", "MLmodel", "MLproject")
)  # fmt: skip


def media_type_of(path: str) -> str:
    """The media type of the file at *path*; ``application/octet-stream`` where nothing is known."""
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    if (extension if dot and stem else name) in _TEXT:
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
