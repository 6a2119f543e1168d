"""Images in files: PNG and JPEG, one each, or a folder of them where sub-folders are classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.data.tables import first_line, shorten
from zoo.errors import CorruptFile, InputError, MissingDependency, ZooError
from zoo.memory import check_fits

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
COPIES = 7  # bytes of memory that a value takes from the file to the data set, at most: copies and masks
DECODED = 12  # and each pixel of the image that is decoded
GRAY = ("1", "L", "LA", "La")
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def pillow() -> Any:
    """The module PIL.Image."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            f"pictures need Pillow, which cannot be imported ({error}). Install it: pip install pillow"
        ) from None
    return Image


def find_images(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder in the order of their names, and the class of each if there are sub-folders."""
    direct = _images_in(folder)
    by_class = {sub.name: _images_in(sub) for sub in sorted(folder.iterdir()) if sub.is_dir() and sub.name[0] != "."}
    by_class = {name: paths for name, paths in by_class.items() if paths}
    if direct and by_class:
        raise InputError(
            f"{folder} has images of its own ({direct[0].name}) and in folders ({next(iter(by_class))}); expected "
            "images only, or one folder a class."
        )
    if direct:
        return direct, []
    if not by_class:
        found = sorted(p.name for p in folder.iterdir())
        raise InputError(
            f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)}), nor have its folders; it holds "
            f"{shorten(found, 5) or 'nothing'}."
        )
    return [p for paths in by_class.values() for p in paths], [n for n, paths in by_class.items() for _ in paths]


def _images_in(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != ".")
    return sorted(p for p in files if p.is_file())


def read_images(
    paths: Sequence[Path], shape: tuple[int, int, int] | None = None, levels: int = 256
) -> npt.NDArray[np.uint8]:
    """Images of one size as uint8 of shape `(N, height, width, channels)`.

    Without a `shape` there is one channel if all images are gray, else three. Transparent images are laid on
    white; the orientation that cameras note is applied. With `levels` below 256, 0..255 is scaled to
    0..levels - 1, as pictures of such images are written.
    """
    width, height = _size(paths[0]) if shape is None else (shape[1], shape[0])
    need = width * height * (COPIES * len(paths) * (3 if shape is None else shape[2]) + DECODED)
    check_fits(need, f"{len(paths):,} images such as {paths[0]}", "Take fewer or smaller ones.")
    like = f", as {paths[0]} is" if shape is None else ""
    first = _open(paths[0], (width, height), like)
    size = first.size if shape is None else (width, height)
    channels = (1 if first.mode == "L" else 3) if shape is None else shape[2]
    if channels not in (1, 3):
        raise InputError(f"image files have 1 or 3 channels; expected {channels}. Give the images as .npz.")
    out = np.empty((len(paths), size[1], size[0], channels), dtype=np.uint8)
    for i, path in enumerate(paths):
        image = first if i == 0 else _open(path, size, like)
        if image.size != size:
            raise _other_size(path, image.size, size, like)
        if shape is None and channels == 1 and image.mode == "RGB":
            return read_images(paths, (size[1], size[0], 3), levels)
        out[i] = np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(out.shape[1:])
    if levels < 256:
        out = np.rint(np.arange(256) * ((levels - 1) / 255)).astype(np.uint8)[out]
    return out


@contextmanager
def _header(path: Path) -> Iterator[Picture]:
    """An image, not decoded yet. Whatever is raised in the block is the file's fault, but a shortage of memory."""
    image_module = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", image_module.DecompressionBombWarning)  # memory is what bounds it here
            with image_module.open(path, formats=("PNG", "JPEG")) as file:
                yield file
    except image_module.DecompressionBombError:
        raise InputError(f"{path} is too large an image. Resize or remove it.") from None
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise what they like: OSError, SyntaxError, struct.error, ...
        raise CorruptFile(f"{path} is not a readable image: {first_line(error)} Mend or remove it.") from None


def _size(path: Path) -> tuple[int, int]:
    with _header(path) as image:
        return image.size


def _open(path: Path, size: tuple[int, int], like: str) -> Picture:
    """An image of this size, upright or lying, as mode L or RGB. One of another size is not decoded."""
    image_module = pillow()
    from PIL import ImageOps

    with _header(path) as file:
        if sorted(file.size) != sorted(size):
            raise _other_size(path, file.size, size, like)
        image: Picture = ImageOps.exif_transpose(file)
        image.load()
    if image.mode in DEEP:
        raise InputError(f"{path} has 16 or more bits a pixel; expected 8. Convert it, or give the images as .npz.")
    if "transparency" in image.info or image.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        gray = image.mode in GRAY
        white = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(white, image.convert("RGBA")).convert("L" if gray else "RGB")
    return image.convert("L" if image.mode in GRAY else "RGB")


def _other_size(path: Path, found: tuple[int, int], size: tuple[int, int], like: str) -> InputError:
    return InputError(
        f"{path} is {found[0]}x{found[1]} pixels; expected {size[0]}x{size[1]}{like}. Resize or remove it."
    )
