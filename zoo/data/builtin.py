"""Data sets that genzoo brings: digits load at once, the others say where to get their files."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.data import Dataset, split_rows
from zoo.data.frozen_random import split_order
from zoo.data.idx import read_idx
from zoo.errors import CorruptFile, InputError, MissingDependency, ZooError
from zoo.spaces import Image, Labels, Text

Array = npt.NDArray[Any]

# ---- digits ---------------------------------------------------------------------------------------------------------


def digits() -> Dataset:
    """1797 handwritten digits of 8x8 pixels with 17 levels, 0 to 16.

    The test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49, license CC BY 4.0; in the order of scikit-learn's
    `load_digits`. Unchanged but for the format.
    """
    with resources.files("zoo.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        x, y = arrays["x"], arrays["y"].astype(np.int64)
    classes = Labels(tuple("0123456789"))
    source = "UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998), test part, CC BY 4.0"
    return split_rows("digits", Image(8, 8, 1, levels=17), x, y, classes=classes, source=source)


# ---- names ----------------------------------------------------------------------------------------------------------


def names() -> Dataset:
    """About 5,000 first names of the 1990 US census in lower case, each once, from the PyPI package `names`."""
    strings = sorted({w for file in ("dist.female.first", "dist.male.first") for w in _census(file)})
    space = Text(max(map(len, strings)), "".join(sorted(set("".join(strings)))))
    source = "first names of the 1990 US census, from the PyPI package names"
    return split_rows("names", space, space.encode(strings), source=source)


def _census(file: str) -> list[str]:
    """The names in a file of the package, which is found but not imported."""
    found = importlib.util.find_spec("names")
    path = Path(found.origin or "").with_name(file) if found is not None and found.origin else None
    if path is None or not path.is_file():
        raise MissingDependency("data set 'names' needs the package names. Install it: pip install names")
    words = [line.split()[0].lower() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    if not words:
        raise CorruptFile(f"{path} is empty. Install it again: pip install --force-reinstall names")
    return words


# ---- Fashion-MNIST --------------------------------------------------------------------------------------------------

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_DEBIAN = "/usr/share/datasets/fashion-mnist"
FASHION_FOLDER = "ZOO_FASHION_MNIST"  # the environment variable
FASHION_MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
FASHION_VALIDATION = 5000
_OTHER_WAYS = (
    "install the Debian package (apt-get install dataset-fashion-mnist), or put the four .gz files in a folder and set "
    f"{FASHION_FOLDER} to it."
)


def fashion_mnist(folder: str | Path | None = None) -> Dataset:
    """70,000 gray pictures of clothes, 28x28 (Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT license).

    The official test images are the test split; of the 60,000 others 5,000 are held out for validation. The four
    IDX files come from `folder`, the folder that the variable ZOO_FASHION_MNIST names, the Debian package
    dataset-fashion-mnist, or a download (30 MB, once).
    """
    where = folder or os.environ.get(FASHION_FOLDER)
    if where is None and Path(FASHION_DEBIAN).is_dir():
        where = FASHION_DEBIAN
    paths = _files_in(Path(where)) if where is not None else _download()
    x, y = _pair(paths, "train")
    x_test, y_test = _pair(paths, "t10k")
    order = split_order(len(x))
    held_out = min(FASHION_VALIDATION, len(x) // 2)
    train, validation = np.sort(order[:-held_out]), np.sort(order[-held_out:])
    return Dataset(
        "fashion-mnist",
        Image(*x.shape[1:]),
        x[train],
        x[validation],
        x_test,
        labels={"train": y[train], "validation": y[validation], "test": y_test},
        classes=Labels(FASHION_CLASSES),
        source="Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), MIT license",
    )


def _pair(paths: dict[str, Path], part: str) -> tuple[Array, Array]:
    """Images (N, 28, 28, 1) and labels (N,) of "train" or "t10k"."""
    images, labels = paths[f"{part}-images-idx3-ubyte"], paths[f"{part}-labels-idx1-ubyte"]
    x, y = read_idx(images, 3)[..., None], read_idx(labels, 1).astype(np.int64)
    if x.shape[1:] != (28, 28, 1) or len(x) < 2:
        raise CorruptFile(f"{images} has {len(x)} images of {x.shape[1:3]}; expected 28x28. Fetch it again.")
    if len(x) != len(y):
        raise CorruptFile(f"{labels} has {len(y)} labels; {images.name} has {len(x)} images. Fetch both again.")
    if y.max() >= len(FASHION_CLASSES):
        raise CorruptFile(f"{labels} has the class {y.max()}; expected 0 to 9. Fetch it again.")
    return x, y


def _files_in(folder: Path) -> dict[str, Path]:
    """The four files of a folder, gzipped or not."""
    paths = {}
    for name in FASHION_MD5:
        path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
        if path is None:
            raise InputError(
                f"{folder} has no {name} or {name}.gz; expected the four files of Fashion-MNIST. Check the folder, or "
                f"unset {FASHION_FOLDER} to download them."
            )
        paths[name] = path
    return paths


def _download() -> dict[str, Path]:
    """The four files in the user's cache, fetched if they are not there and checked against their checksums."""
    try:
        import platformdirs
        import pooch
    except ImportError as error:
        raise MissingDependency(
            f"downloading Fashion-MNIST needs pooch ({error}). Install it: pip install pooch; or {_OTHER_WAYS}"
        ) from None
    cache = Path(platformdirs.user_cache_dir("genzoo")) / "fashion-mnist"
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    paths = {}
    try:
        for name, md5 in FASHION_MD5.items():
            file = f"{name}.gz"
            with _progress(file, hidden=(cache / file).exists()) as bar:
                downloader = pooch.HTTPDownloader(progressbar=bar, timeout=30)
                found = pooch.retrieve(f"{FASHION_URL}{file}", f"md5:{md5}", file, cache, downloader=downloader)
            paths[name] = Path(found)
    except ValueError as error:  # pooch's error for a checksum
        raise CorruptFile(f"the download of Fashion-MNIST is damaged ({error}). Try again; or {_OTHER_WAYS}") from None
    except OSError as error:  # requests' errors are OSErrors
        reason = error.strerror or type(error).__name__
        problem = f"cannot download Fashion-MNIST from {FASHION_URL} ({reason})"
        raise ZooError(f"{problem}. Check the network; or {_OTHER_WAYS}") from None
    finally:
        logger.setLevel(level)
    return paths


class _Bar:
    """rich's progress bar, as pooch calls it."""

    def __init__(self, progress: Any, task: Any) -> None:
        self.progress, self.task = progress, task

    @property
    def total(self) -> int:
        return 0

    @total.setter
    def total(self, size: int) -> None:
        self.progress.update(self.task, total=size)

    def update(self, size: int) -> None:
        self.progress.update(self.task, advance=size)

    def reset(self) -> None:
        """pooch resets the bar, then adds the whole size once more; leave it full."""

    def close(self) -> None:
        self.progress.stop_task(self.task)


@contextmanager
def _progress(file: str, *, hidden: bool) -> Iterator[_Bar]:
    """A bar on stderr while a file is fetched."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        yield _Bar(progress, progress.add_task(file, total=None))
