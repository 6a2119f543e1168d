"""Images in files, of any format that Pillow reads: one each, or a folder of them where sub-folders are classes.

Their headers are read first, which tells size, channels and what has to be changed; they are decoded when their rows
are asked for, and kept.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.data.sources import Array, numbers_of
from zoo.data.spool import SHARE, cache_limit, scratch
from zoo.data.tables import first_line, shorten
from zoo.errors import CorruptFile, InputError, MissingDependency, ZooError, ZooWarning
from zoo.system.memory import available, check_fits

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".jfif", ".apng",
    ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi", ".ico", ".dds", ".icns", ".psd",
)  # fmt: skip
# what Pillow may open: not what runs other programs (EPS, WMF), nor what holds no picture (MPEG, HDF5)
FORMATS = (
    "PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "PCX", "SGI", "QOI", "ICO",
    "DDS", "ICNS", "PSD",
)  # fmt: skip
DECODED = 12  # bytes of memory of each pixel of the image that is decoded
GRAY = ("1", "L", "LA", "La")
CLEAR = ("LA", "La", "RGBA", "RGBa", "PA")
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
FITS = ("crop", "pad", "stretch")
TURNED = (5, 6, 7, 8)  # the orientations of cameras that change width and height
ORIENTATION = 0x0112  # the tag of EXIF


def pillow() -> Any:
    """The module PIL.Image."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            f"pictures need Pillow, which cannot be imported ({error}). Install it: pip install pillow"
        ) from None
    return Image


def _is_folder(path: Path) -> bool:
    """Not a link to one, which may lead out of the data."""
    return path.is_dir() and not path.is_symlink()


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this version of Pillow knows: one that it does not is a KeyError."""
    image_module = pillow()
    image_module.init()
    return [name for name in FORMATS if name in image_module.OPEN]


class Folder(NamedTuple):
    """The images of a folder in the order of their names, and the class of each if there are sub-folders."""

    paths: list[Path]
    classes: list[str]


def find_images(folder: Path) -> Folder:
    """The images of a folder. A `ZooWarning` says which files were left out."""
    left_out: list[Path] = []
    direct = _images_in(folder, left_out)
    by_class = {}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."):
        if paths := _images_in(sub, left_out):
            by_class[sub.name] = paths
        left_out += [p for deeper in sub.iterdir() if _is_folder(deeper) for p in deeper.rglob("*") if is_image(p)]
    if direct and by_class:
        raise InputError(
            f"{folder} has images of its own ({direct[0].name}) and in folders ({next(iter(by_class))}); expected "
            "images only, or one folder a class."
        )
    if not direct and not by_class:
        found = sorted(p.name for p in folder.iterdir())
        raise InputError(
            f"{folder} has no images ({', '.join(IMAGE_SUFFIXES[:4])}, ...), nor have its folders; it holds "
            f"{shorten(found, 5) or 'nothing'}."
        )
    if left_out:
        names = shorten([str(p.relative_to(folder)) for p in left_out], 3)
        _say(f"{folder}: left out {len(left_out):,} files that are no images of a class: {names}.")
    if direct:
        return Folder(direct, [])
    pairs = [(p, name) for name, paths in by_class.items() for p in paths]
    return Folder([p for p, _ in pairs], [name for _, name in pairs])


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."


def _images_in(folder: Path, left_out: list[Path]) -> list[Path]:
    files = [p for p in folder.iterdir() if p.name[0] != "." and p.is_file()]
    left_out += [p for p in files if not is_image(p)]
    return sorted(filter(is_image, files))


def _say(message: str) -> None:
    warnings.warn(message, ZooWarning, stacklevel=3)


# ---- what is asked for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """A size that images are brought to. "crop" cuts what is longer than its share, "pad" adds black, "stretch" changes
    the proportions."""

    height: int
    width: int
    fit: str = "crop"

    @classmethod
    def of(cls, size: int | str | Sequence[int] | Size) -> Size:
        """From 64, "64", "64x48" (width x height), "64:pad" or (height, width)."""
        if isinstance(size, Size):
            return size
        said, fit = size, "crop"
        if isinstance(size, str):
            text, _, named = size.partition(":")
            fit = named or fit
            size = [int(n) for n in reversed(text.lower().split("x")) if n.isdecimal()]
        numbers = [size] if isinstance(size, int) else list(size)
        if len(numbers) not in (1, 2) or not all(0 < n < 2**16 for n in numbers) or fit not in FITS:
            raise InputError(f"the size {said!r} is none; expected 64, 64x48 (width x height), 64:pad or 64:stretch.")
        return cls(numbers[0], numbers[-1], fit)


# ---- headers --------------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What the header of an image says: its size when it is upright, and what has to be known of its pixels."""

    size: tuple[int, int]  # width, height
    gray: bool
    clear: bool  # parts of it are transparent, perhaps
    moving: bool  # has more than one frame
    deep: bool  # has more than 8 bits a pixel and channel


def read_header(path: Path) -> Header:
    with _header(path) as image:
        tiles = getattr(image, "tile", None)
        raw = str(tiles[0][3]) if tiles else ""
        # Pillow decodes a PNG without EXIF to look for it at the end
        turned = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(ORIENTATION) in TURNED
        size = image.size[::-1] if turned else image.size
        clear = "transparency" in image.info or image.mode in CLEAR
        deep = image.mode in DEEP or ";16" in raw
        return Header(size, image.mode in GRAY, clear, bool(getattr(image, "is_animated", False)), deep)


def _refuse_deep(paths: Sequence[Path], headers: Sequence[Header]) -> None:
    found = [str(path) for path, header in zip(paths, headers, strict=True) if header.deep]
    if found:
        has = "has" if len(found) == 1 else "have"
        raise InputError(
            f"{shorten(found, 5)} {has} 16 or more bits a pixel; expected 8. Convert, or give the images as .npz."
        )


def _told(paths: Sequence[Path], headers: Sequence[Header], target: tuple[int, int], size: Size | None) -> None:
    """Say how many images are changed, and how."""
    where = paths[0].parent
    clear, moving = sum(h.clear for h in headers), sum(h.moving for h in headers)
    if clear:
        _say(f"{where}: {clear:,} of {len(paths):,} images may be transparent; they are laid on white.")
    if moving:
        _say(f"{where}: {moving:,} of {len(paths):,} images have several frames; the first of each is taken.")
    other = [h for h in headers if h.size != target]
    if size is not None and other:
        shapes = sum(h.size[0] * target[1] != h.size[1] * target[0] for h in other)
        how = {"crop": "cut to its middle", "pad": "padded with black", "stretch": "stretched"}[size.fit]
        also = f", and {shapes:,} of other proportions {how}" if shapes else ""
        _say(f"{where}: {len(other):,} of {len(paths):,} images resized to {target[0]}x{target[1]}{also}.")


# ---- rows -----------------------------------------------------------------------------------------------------------


def open_images(
    paths: Sequence[Path], shape: tuple[int, int, int] | None = None, levels: int = 256, size: Size | None = None
) -> ImageFiles:
    """Images as uint8 of shape `(N, height, width, channels)`: decoded at once if they take little memory, else when
    their rows are asked for.

    Without a `shape` there is one channel if all images are gray, else three, and all have one size, or are brought to
    `size`. Transparent images are laid on white; the orientation that cameras note is applied. With `levels` below
    256, 0..255 is scaled to 0..levels - 1, as pictures of such images are written.
    """
    headers = [read_header(path) for path in paths]
    _refuse_deep(paths, headers)
    if shape is not None:
        target, channels, like = (shape[1], shape[0]), shape[2], ""
    else:
        target = (size.width, size.height) if size else headers[0].size
        channels = 1 if all(h.gray for h in headers) else 3
        like = f", as {paths[0]} is"
    if channels not in (1, 3):
        raise InputError(f"image files have 1 or 3 channels; expected {channels}. Give the images as .npz.")
    if size is None:
        odd = next((i for i, h in enumerate(headers) if h.size != target), None)
        if odd is not None:
            raise _other_size(paths[odd], headers[odd].size, target, like, Counter(h.size for h in headers))
    _told(paths, headers, target, size)
    largest = max(h.size[0] * h.size[1] for h in headers)
    check_fits(largest * DECODED, f"the largest of {len(paths):,} images such as {paths[0]}", "Take smaller ones.")
    return ImageFiles(paths, (target[1], target[0], channels), levels, size)


class ImageFiles:
    """Images as a `Source`. Few are decoded at once; of many, each is when its row is asked for, and kept on disk where
    there is room."""

    def __init__(
        self, paths: Sequence[Path], shape: tuple[int, int, int], levels: int = 256, size: Size | None = None
    ) -> None:
        self.paths, self.shape, self.size = paths, shape, size
        self.scale = np.rint(np.arange(256) * ((levels - 1) / 255)).astype(np.uint8) if levels < 256 else None
        self.bytes = int(np.prod(shape)) * len(paths)
        self._lock = threading.Lock()
        self._kept: Array | None = None
        self._known = np.zeros(len(paths), dtype=bool)
        self.whole = self._decode_all() if self.bytes <= available() // SHARE else None

    def _decode_all(self) -> Array:
        out = np.empty((len(self), *self.shape), dtype=np.uint8)
        for place, path in enumerate(self.paths):
            out[place] = self._decode(path)
        return out

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Any) -> Array:
        if self.whole is not None:
            return np.asarray(self.whole[rows])
        numbers = numbers_of(rows, len(self))
        out = np.empty((len(numbers), *self.shape), dtype=np.uint8)
        with self._lock:
            kept = self._store()
            for place, i in enumerate(numbers):
                if kept is not None and self._known[i]:
                    out[place] = kept[i]
                    continue
                out[place] = self._decode(self.paths[i])
                if kept is not None:
                    kept[i], self._known[i] = out[place], True
        return out

    def _store(self) -> Array | None:
        """Where decoded images are kept: a file of the cache, if it may be that large."""
        if self._kept is None and self.bytes <= cache_limit():
            with scratch(f"what is decoded of {self.paths[0].parent}", self.bytes) as file:
                file.truncate(self.bytes)
                self._kept = np.memmap(file, dtype=np.uint8, mode="r+", shape=(len(self), *self.shape))
        return self._kept

    def _decode(self, path: Path) -> Array:
        height, width, channels = self.shape
        image = _fit(_open(path), (width, height), self.size)
        if image.size != (width, height):
            raise _other_size(path, image.size, (width, height), "")
        array = np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(self.shape)
        scaled: Array = array if self.scale is None else self.scale[array]
        return scaled

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Of each file as it is, and of what becomes of it: nothing is decoded for it."""
        import hashlib

        about = repr((self.shape, self.size, None if self.scale is None else self.scale.max())).encode()
        found = np.empty(len(self), dtype=np.uint64)
        for i, path in enumerate(self.paths):
            with open(path, "rb") if isinstance(path, Path) else path as file:
                total = hashlib.file_digest(file, "sha256")
            total.update(about)
            found[i] = int.from_bytes(total.digest()[:8], "little")
        return found


def _fit(image: Picture, target: tuple[int, int], size: Size | None) -> Picture:
    """An image brought to a size."""
    if size is None or image.size == target:
        return image
    from PIL import ImageOps

    resampling = pillow().Resampling.LANCZOS
    if size.fit == "stretch":
        return image.resize(target, resampling)
    return (ImageOps.fit if size.fit == "crop" else ImageOps.pad)(image, target, resampling)


@contextmanager
def _header(path: Path) -> Iterator[Picture]:
    """An image, not decoded yet. Whatever is raised in the block is the file's fault, but a shortage of memory."""
    image_module = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: memory is what bounds the size here, and tags may be damaged
            with image_module.open(path, formats=_formats()) as file:
                yield file
    except image_module.DecompressionBombError:
        raise InputError(f"{path} is too large an image. Resize or remove it.") from None
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise what they like: OSError, SyntaxError, struct.error, ...
        raise CorruptFile(f"{path} is not a readable image: {first_line(error)} Mend or remove it.") from None


def _open(path: Path) -> Picture:
    """An image, upright or lying, as mode L or RGB."""
    image_module = pillow()
    from PIL import ImageOps

    with _header(path) as file:
        image: Picture = ImageOps.exif_transpose(file)
        image.load()
    gray = image.mode in GRAY
    if "transparency" in image.info or image.mode in CLEAR:
        white = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(white, image.convert("RGBA"))
    return image.convert("L" if gray else "RGB")


def _other_size(
    path: Path, found: tuple[int, int], size: tuple[int, int], like: str, sizes: Counter[tuple[int, int]] | None = None
) -> InputError:
    many = f" There are {len(sizes)} sizes among {sizes.total():,} images." if sizes and len(sizes) > 2 else ""
    advice = f"Bring them to one: --size {min(size)}." if like else "Resize or remove it."
    return InputError(f"{path} is {found[0]}x{found[1]} pixels; expected {size[0]}x{size[1]}{like}.{many} {advice}")
