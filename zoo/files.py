"""Files that appear whole or not at all.

What is written goes to a temporary name in the same folder, reaches the disk, and is renamed. Whatever interrupts
the writing (an error, Ctrl-C) leaves neither a half-written file nor the temporary one, and what was there before
stays. A disk that is full, or a folder that may not be written, becomes an `OutputError`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from zoo.errors import OutputError

# what the system says when the place is the trouble, not the program
DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.ELOOP,
}  # fmt: skip


def sha256(data: bytes | str | Path) -> str:
    """The SHA-256 of bytes, or of the file at a path, in hex."""
    if isinstance(data, (str, Path)):
        with open(data, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(data).hexdigest()


def check_output_file(path: str | Path, force: bool = False) -> Path:
    """`path` as a file that can be written; `OutputError` says why not. Call it before the work starts."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device or a pipe; expected the name of a file.")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists; use --force to overwrite it, or give another name.")
    _check_parent(path)
    return path


def check_output_folder(path: str | Path, force: bool = False, marker: str | None = None) -> Path:
    """`path` as a folder that can be written; `OutputError` says why not. Call it before the work starts.

    With a `marker`, `force` replaces only a folder that holds a file of that name, so that `--force` with a wrong
    name does not delete somebody's documents.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file; expected the name of a folder to write.")
    if Path.cwd().is_relative_to(path.resolve()):
        raise OutputError(f"{path} is the current folder or one around it; give the name of a new folder.")
    if path.exists() and any(path.iterdir()):
        if not force:
            raise OutputError(f"{path} exists; use --force to replace it, or give another name.")
        if marker is not None and not (path / marker).is_file():
            raise OutputError(f"{path} has no {marker}: --force does not replace it. Give the name of a new folder.")
    _check_parent(path)
    return path


def _check_parent(path: Path) -> None:
    """The folder of an output can be written, or is missing and can be made."""
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: {parent} is not a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {parent}. Give another place.")


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # in some file systems, such as /proc, not even root makes folders
        raise OutputError(f"cannot write {path}: {path.parent} cannot be made ({error.strerror}).") from None


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Yields a binary file; what was written to it becomes `path` when the block ends without an error.

        with atomic_write("scores.csv") as file:
            file.write(b"...")

    Missing folders on the way are made. An existing file is replaced: ask `check_output_file` before.
    """
    path = Path(os.path.realpath(path))  # a symbolic link stays: what it points to is replaced
    temporary = _sibling(path)
    with _disk_errors(path):
        _make_parent(path)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: str | Path, force: bool = False, marker: str | None = None) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it becomes `path`, whole, when the block ends without an error.

    With `force` an existing folder is moved away and deleted once the new one is in place (see
    `check_output_folder` for `marker`).
    """
    check_output_folder(path, force, marker)
    final = Path(os.path.realpath(path))
    temporary = _sibling(final)
    with _disk_errors(final):
        _make_parent(final)
        try:
            temporary.mkdir()
            yield temporary
            for folder, _, files in os.walk(temporary):
                for name in (*files, "."):
                    _sync(Path(folder, name))
            check_output_folder(path, force, marker)  # somebody may have made it since
            _swap(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync(final.parent)


def _swap(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`. What was there is deleted, or comes back if the renaming fails."""
    if not path.exists():
        os.rename(new, path)
        return
    old = _sibling(path)
    os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sibling(path: Path) -> Path:
    """A new hidden name in the same folder, and so on the same disk."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")


def _sync(path: Path) -> None:
    """Have the system put a file or folder on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot do it for folders
            raise
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """A full, read-only or forbidden disk is the user's to mend; other errors pass as they are."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        about_output = error.filename is None or Path(str(error.filename)).is_relative_to(path.parent)
        if error.errno not in DISK or not about_output:
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}. Give another place, or make room.") from error
