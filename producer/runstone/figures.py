"""Figures of matplotlib's and of plotly's kind, as what writes them to a file.

Known by what they can do (``savefig``; ``write_html`` and ``write_image``), so neither library is imported
here, and what wraps their figures (seaborn's grids) works as well.
"""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from runstone.exceptions import InvalidInputError


def figure_writer(figure: Any, path: str, options: Mapping[str, Any]) -> Callable[[Path], None]:
    """What writes *figure* in the format that the ending of *path* says.

    Args:
        figure: of matplotlib or plotly.
        path: within the run's artifacts.
        options: handed on to the library's own call.

    Raises:
        InvalidInputError: it is no figure, or *path* has no ending.
    """
    ending = PurePosixPath(path).suffix.lower().removeprefix(".")
    if not ending:
        raise InvalidInputError(f"log_figure: {path!r} says no format; expected a name such as 'figure.png'")
    if callable(getattr(figure, "savefig", None)):
        return _checked(lambda target: figure.savefig(target, **{"format": ending, **options}), figure)
    if not callable(getattr(figure, "write_html", None)):
        raise InvalidInputError(
            f"log_figure: expected a figure of matplotlib or plotly, found {type(figure).__name__}"
        )
    if ending == "html":
        return _checked(
            lambda target: figure.write_html(
                target, **{"include_plotlyjs": "cdn", "auto_open": False, **options}
            ),
            figure,
        )
    return _checked(lambda target: figure.write_image(target, **{"format": ending, **options}), figure)


def _checked(draw: Callable[[Path], None], figure: Any) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        try:
            draw(target)
        except OSError:
            raise
        except Exception as wrong:  # what a library says of a format that it does not know, or of itself
            raise InvalidInputError(
                f"log_figure: {type(figure).__name__} cannot be written ({type(wrong).__name__}: {wrong})"
            ) from wrong

    return write
