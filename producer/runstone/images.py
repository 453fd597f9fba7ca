"""Images that a training hands in, as what writes them to a file.

An array becomes a PNG without any imaging library; other formats, and images that are not arrays, need
Pillow, which whoever has a Pillow image has. Nothing is imported unless it is needed.
"""

import re
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from runstone import notices
from runstone.exceptions import InvalidInputError
from runstone.inputs import shown
from runstone.png import png

THUMBNAIL: Final = 256
"""Pixels of the longer side of the small picture beside each of a series; MLflow's size."""

FOLDER: Final = "images"
"""Where MLflow's web interface looks for the images of a series."""

_KEY: Final = re.compile(r"[a-zA-Z0-9_\-./ ]{1,150}")
_SHAPES: Final = "(height, width), or (height, width, channels) with 1, 3 or 4 channels"


class ImageFile(NamedTuple):
    """One file: its path within the run's artifacts, and what writes it to the path it is given."""

    path: str
    write: Callable[[Path], None]


class Picture(NamedTuple):
    """An array's pixels, 8 bits a channel."""

    array: Any

    def png(self) -> bytes:
        """As a PNG file."""
        height, width, channels = self.array.shape
        return png(self.array.tobytes(), width, height, channels)

    def small(self) -> "Picture":
        """Every n-th pixel, so that it fits a thumbnail."""
        step = -(-max(self.array.shape[:2]) // THUMBNAIL)
        return Picture(self.array[::step, ::step])


def image_file(image: Any, path: str) -> ImageFile:
    """*image* as the file at *path*, in the format that its ending says.

    Raises:
        InvalidInputError: it is no image, or its format needs Pillow, which is not installed.
    """
    ending = PurePosixPath(path).suffix.lower()
    if not ending:
        raise InvalidInputError(f"log_image: {path!r} says no format; expected a name such as 'image.png'")
    if not _of_pillow(image := _unwrapped(image)):
        picture = _picture(image)
        if ending == ".png":
            return ImageFile(path, lambda target: _write(target, picture.png()))
        image = _pillow(ending).fromarray(
            picture.array[:, :, 0] if picture.array.shape[2] == 1 else picture.array
        )
    return ImageFile(path, lambda target: _save(image, target, ending))


def image_of_series(image: Any, key: str, step: int, time: int) -> list[ImageFile]:
    """*image* as the one of *step* in the series *key*: the files by which MLflow's interface shows it.

    Args:
        image: as for `image_file`.
        key: letters, digits, ``_ - . /`` and spaces.
        step: of the training.
        time: ms UTC.

    Raises:
        InvalidInputError: it is no image, or *key* has other characters.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidInputError(
            f"log_image: the key {shown(key)} must be 1 to 150 letters, digits, spaces, '_', '-', '.' or '/'"
        )
    name = f"{FOLDER}/{key.replace('/', '~')}+step+{step}+timestamp+{time}+{uuid.uuid4()}"
    full, thumbnail = f"{name}.png", f"{name}+compressed.png"
    if _of_pillow(image := _unwrapped(image)):
        small = image.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        return [
            ImageFile(full, lambda target: _save(image, target, ".png")),
            ImageFile(thumbnail, lambda target: _save(small, target, ".png")),
        ]
    picture = _picture(image)
    return [
        ImageFile(full, lambda target: _write(target, picture.png())),
        ImageFile(thumbnail, lambda target: _write(target, picture.small().png())),
    ]


def _unwrapped(image: Any) -> Any:
    """What ``mlflow.Image`` holds; anything else is itself."""
    return image.to_pil() if callable(getattr(image, "to_pil", None)) else image


def _of_pillow(image: Any) -> bool:
    """Whether *image* is one of Pillow's, which has been imported then."""
    import sys  # noqa: PLC0415  # importing runstone must stay cheap

    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(image, kind)


def _picture(image: Any) -> Picture:
    """The pixels of an array, or of what becomes one (a tensor)."""
    if not (hasattr(image, "shape") or hasattr(image, "__array__")):
        raise InvalidInputError(
            f"log_image: expected a numpy array or a Pillow image, found {type(image).__name__}"
        )
    import numpy as np  # noqa: PLC0415  # who has an array has numpy

    try:
        array = np.asarray(image)
    except Exception as wrong:  # whatever a foreign type's __array__ raises (a tensor on a GPU)
        raise InvalidInputError(
            f"log_image: {type(image).__name__} cannot become a numpy array ({wrong})"
        ) from None
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in {1, 3, 4} or 0 in array.shape:
        raise InvalidInputError(f"log_image: an array must have the shape {_SHAPES}, found {image.shape}")
    return Picture(np.ascontiguousarray(_as_bytes(np, array)))


def _as_bytes(np: Any, array: Any) -> Any:
    """Integers from 0 to 255 as they are, truth values as 0 and 255, floats from 0 to 1 scaled."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind in "iu":
        if array.min() < 0 or array.max() > 255:
            raise InvalidInputError(
                f"log_image: integers must lie between 0 and 255, found {array.min()} to {array.max()}"
            )
        return array.astype(np.uint8)
    if array.dtype.kind != "f":
        raise InvalidInputError(
            f"log_image: pixels must be integers, floating-point numbers or truth values, found {array.dtype}"
        )
    found = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    low, high = found.min(), found.max()
    if low < 0 or high > 1:
        notices.warn_once(
            "rescaled image",
            f"an image's values lie between {low:g} and {high:g}; they were scaled to 0 to 1, its lowest to "
            "black and its highest to white",
        )
        found = (found - low) / ((high - low) or 1)
    return (found * 255).astype(np.uint8)


def _pillow(ending: str) -> Any:
    try:
        import PIL.Image  # noqa: PLC0415  # optional
    except ImportError:
        raise InvalidInputError(
            f"log_image: the format {ending!r} needs Pillow (pip install pillow); '.png' needs nothing"
        ) from None
    return PIL.Image


def _save(image: Any, target: Path, ending: str) -> None:
    formats = _pillow(ending).registered_extensions()
    if ending not in formats:
        raise InvalidInputError(f"log_image: Pillow knows no format {ending!r}; '.png' is one that it knows")
    try:
        image.save(target, format=formats[ending])
    except OSError as wrong:
        if wrong.errno is not None:
            raise
        raise InvalidInputError(f"log_image: {wrong}; choose another format") from None  # RGBA as JPEG
    except ValueError as wrong:
        raise InvalidInputError(f"log_image: {wrong}") from None


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
