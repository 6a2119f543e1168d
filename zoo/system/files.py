"""Files that appear whole or not at all.

Output is written to a temporary name in the same folder, synced to disk, and renamed. If writing is interrupted (by an
error or a signal), neither a partial file nor the temporary one remains, and existing output is kept. Leftovers of a
killed process are removed by the next one that writes to the same place. A full disk or a folder without write
permission becomes an `OutputError`.
"""

from __future__ import annotations

import atexit
import errno
import functools
import hashlib
import io
import json
import operator
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from zoo.errors import InputError, OutputError
from zoo.system.failpoints import failpoint
from zoo.system.interrupts import check_signals, deferred

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# system errors caused by the place, not by the program
DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.ELOOP, errno.EISDIR,
}  # fmt: skip
TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
NO_REPLACE, EXCHANGE = 1, 2  # flags of renameat2
AT_FDCWD = -100
PIECE = 2**22  # bytes of a file to hash at once
MAX_JSON = 2**26  # bytes: the longest histories and lists of names take a few million
DEEPEST = 64  # nesting levels of JSON
UNLOCKED = -1  # instead of a handle, if files cannot be locked
LONGEST = 200  # bytes of the original name that a temporary name keeps
LONGEST_HOLDER = 1000  # bytes of a lock's description of its holder
SHA256 = re.compile(r"[0-9a-f]{64}")

Identity = tuple[int, int, int, int]  # changes whenever the content of a file does, or another takes its place

_digests: dict[Identity, str] = {}  # of files in folders to be replaced, which are checked several times


class Known(NamedTuple):
    """A file that genzoo wrote: the first digits of its SHA-256, and its size if known."""

    sha256: str = ""
    bytes: int | None = None


# Lists the files in a folder that genzoo wrote, by relative name; None: genzoo did not write the folder
Ours = Callable[[Path], "Mapping[str, Known] | None"]


def sha256(data: bytes | str | Path) -> str:
    """The SHA-256 of bytes, or of the file at a path, in hex."""
    if isinstance(data, (str, Path)):
        with open_regular(data) as file:
            return sha256_of(file)
    return hashlib.sha256(data).hexdigest()


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, in hex. A signal that stops the command stops this, too, in any thread."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        check_signals()
        digest.update(piece)
    return digest.hexdigest()


def identity(file: Path | int) -> Identity:
    """Identifies a file, given by path or handle, and its content: changes if either does."""
    found = os.stat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def open_regular(path: str | Path) -> io.BufferedReader:
    """Open a file for reading; `OSError` for a pipe or a device, which could block forever."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return open(handle, "rb")


def read_bytes(path: str | Path, most: int) -> bytes:
    """The bytes of a file; `OSError` if it is longer than `most`, or not a file."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
        return file.read()


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; `ValueError` if it is invalid, or nested too deep for recursive code."""
    too_deep = ValueError(f"it is nested deeper than {DEEPEST} levels")
    try:
        value = json.loads(text)
    except RecursionError:
        raise too_deep from None
    level = [value]
    for _ in range(DEEPEST):
        containers = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list)))
        level = list(chain.from_iterable(containers))
        if not level:
            return value
    raise too_deep


def refuse_file(path: Path) -> None:
    """`InputError` for a file given instead of its folder. A name without a folder may be that of a model."""
    if path.is_file() and (len(path.parts) > 1 or path.suffix == ".onnx"):
        raise InputError(f"{path} is a file; give its folder: {path.parent} (or: zoo inspect {path}).")


# ---- what may be written where --------------------------------------------------------------------------------------


def check_output_file(path: str | Path, force: bool = False) -> Path:
    """`path`, checked to be a writable file; `OutputError` says why not. Call it before the work starts."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device or a pipe; expected the name of a file.")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists; use --force to overwrite it, or give another name.")
    _check_parent(path)
    return path


def check_output_folder(path: str | Path, force: bool = False, marker: str | Ours | None = None) -> Path:
    """`path`, checked to be a writable folder; `OutputError` says why not. Call it before the work starts.

    `force` replaces only a folder that genzoo wrote, and only if nothing in it has changed. `marker` determines that:
    the name of a JSON file for `listed`, or a function.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file; expected the name of a folder to write.")
    if Path.cwd().is_relative_to(path.resolve()):
        raise OutputError(f"{path} is the current folder or a parent of it; give the name of a new folder.")
    _recover(path)
    if path.exists() and any(path.iterdir()):
        if not force:
            raise OutputError(f"{path} exists; use --force to replace it, or give another name.")
        check_ours(path, marker)
    _check_parent(path)
    return path


def check_ours(folder: Path, marker: str | Ours | None, name: Path | None = None) -> None:
    """`OutputError` if a folder holds anything that genzoo did not write. `name` is the folder's name in messages."""
    name = name or folder
    ours = marker(folder) if callable(marker) else listed(folder, marker) if marker else None
    if ours is None:
        what = f"its {marker} was not written by genzoo" if isinstance(marker, str) else "genzoo did not write it"
        if isinstance(marker, str) and not (folder / marker).exists():
            what = f"it has no {marker}"
        raise OutputError(f"{name} is not replaced: {what}. Give the name of a new folder, or remove this one.")
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        around = path.is_dir() and not path.is_symlink() and any(o.startswith(f"{relative}/") for o in ours)
        if around or _target_of(path.name):
            continue
        what = "genzoo did not write" if relative not in ours else "has changed since genzoo wrote it"
        if relative not in ours or not _is_still(path, ours[relative]):
            raise OutputError(
                f"{name} is not replaced: it holds {relative}, which {what}. Move that away, or give the name of a new "
                "folder."
            )


def _is_still(path: Path, known: Known) -> bool:
    """Whether `path` is the known file."""
    try:
        if not path.is_file() or known.bytes not in (None, path.stat().st_size):
            return False
        key = identity(path)
        if known.sha256 and key not in _digests:
            _digests[key] = sha256(path)
    except OSError:
        return False
    return _digests.get(key, "").startswith(known.sha256)


def listed(folder: Path, marker: str) -> dict[str, Known] | None:
    """The files that the JSON file `marker` of a folder lists, and itself; None if genzoo did not write it.

    It has an integer `schema`, the version of `genzoo` in `versions`, and all other files in `files` (see `listing`).
    """
    try:
        about = parse_json(read_bytes(folder / marker, MAX_JSON))
    except (OSError, ValueError):
        return None
    if not isinstance(about, dict) or type(about.get("schema")) is not int:
        return None
    files, versions = about.get("files"), about.get("versions")
    if not isinstance(files, dict) or not isinstance(versions, dict) or not isinstance(versions.get("genzoo"), str):
        return None
    ours = {marker: Known()}
    for name, entry in files.items():
        digest, size = (entry.get(key) for key in Known._fields) if isinstance(entry, dict) else ("", None)
        if not isinstance(digest, str) or not SHA256.fullmatch(digest) or not isinstance(size, int):
            return None
        ours[name] = Known(digest, size)
    return ours


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """SHA-256 and size of each file below a folder, as the marker of an export lists them."""
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _check_parent(path: Path) -> None:
    """`OutputError` unless the folder of an output is writable, or is missing and can be created."""
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: {parent} is not a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {parent}. Give another place.")
    try:
        tempfile.TemporaryFile(
            dir=parent
        ).close()  # in some file systems, such as /proc, not even root can create files
    except OSError as error:
        raise OutputError(f"cannot write {path}: no file can be created in {parent} ({error.strerror}).") from None


@contextmanager
def _parent_of(path: Path) -> Iterator[None]:
    """The folder of an output exists in this block. If the block fails, folders created for it are removed."""
    missing = [p for p in path.parents if not p.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # in some file systems, such as /proc, not even root can create folders
        raise OutputError(f"cannot write {path}: {path.parent} cannot be created ({error.strerror}).") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise


# ---- writing --------------------------------------------------------------------------------------------------------


@contextmanager
def atomic_write(path: str | Path, force: bool = False, *, like: Path | None = None) -> Iterator[BinaryIO]:
    """Yields a binary file that becomes `path` when the block ends without an error.

        with atomic_write("scores.csv") as file:
            file.write(b"...")

    Missing parent folders are created. An existing file is replaced only with `force`, and its permissions are kept. A
    new one takes those of the file `like`, or the strictest of the files in the folder `like`.
    """
    path = Path(os.path.realpath(path))  # a symbolic link is kept: its target is replaced
    model = path if path.exists() or like is None else like
    with _disk_errors(path), _parent_of(path):
        remove_leftovers(path)
        known = model.is_file()
        with _temporary(path, functools.partial(_create, mode=0o600 if known else _strictest(model))) as temporary:
            failpoint("file.created")
            with open(temporary, "r+b") as file:
                yield file
                failpoint("file.written")
                file.flush()
                if known:
                    _copy_permissions(model, temporary)
                os.fsync(file.fileno())
            failpoint("file.synced")
            with deferred():
                if force:
                    os.replace(temporary, path)
                else:
                    _rename_new(temporary, path)
            failpoint("file.published")
        _sync(path.parent)


@contextmanager
def atomic_folder(path: str | Path, force: bool = False, marker: str | Ours | None = None) -> Iterator[Path]:
    """Yields a temporary folder next to `path` that becomes `path`, whole, when the block ends without an error.

    With `force` it replaces a folder that genzoo wrote (see `check_output_folder` for `marker`), atomically if the
    system can exchange names. Permissions are kept.
    """
    check_output_folder(path, force, marker)
    final = Path(os.path.realpath(path))
    with _disk_errors(final), _parent_of(final):
        remove_leftovers(final)
        mode = stat.S_IMODE(final.stat().st_mode) | 0o700 if final.exists() else 0o777
        with _temporary(final, functools.partial(os.mkdir, mode=mode)) as temporary:
            failpoint("folder.created")
            yield temporary
            failpoint("folder.written")
            _keep_permissions(final, temporary)
            for folder, _, files in os.walk(temporary):
                for name in (*files, "."):
                    _sync(Path(folder, name))
            failpoint("folder.synced")
            check_output_folder(path, force, marker)  # it may have appeared since
            with deferred():
                _publish(temporary, final, marker)
            failpoint("folder.published")
        failpoint("folder.emptied")
        _sync(final.parent)


def _publish(new: Path, path: Path, marker: str | Ours | None) -> None:
    """Rename the folder `new` to `path`. An existing folder is then called `new`."""
    if not path.exists() or not any(path.iterdir()):
        try:
            os.rename(new, path)  # replaces an empty folder only
        except OSError as error:
            raise _appeared(path, error) from None
        return
    if not _exchange(new, path):
        _replace(new, path)
        return
    try:
        check_ours(new, marker, path)
    except OutputError:  # another process has just written into it
        _exchange(new, path)
        raise


def _replace(new: Path, path: Path) -> None:
    """Exchange the folders `new` and `path` in several steps. `_recover` finishes after a kill."""
    old, handle = _sibling(path, ".old", _number(new)), UNLOCKED
    with suppress(OSError):
        handle = lock(path) or UNLOCKED
    os.rename(path, old)
    try:
        failpoint("folder.moved")
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    finally:
        if handle != UNLOCKED:
            os.close(handle)
    failpoint("folder.replaced")
    os.rename(old, new)


def _recover(path: Path) -> None:
    """Restore a folder that a killed process had moved away, unless the new one is already in place.

    The name of the old one contains the number of the new one. `OutputError` if something else has taken its place.
    """
    path = Path(os.path.realpath(path))
    for old in _siblings(path.parent, ".old", _only(path)):
        handle = None
        with suppress(OSError):
            handle = lock(old)
        if handle is None:  # the process that moved it away may be alive
            continue
        try:
            if _is_empty(path):
                with suppress(OSError):
                    os.rename(old, path)
            elif old == _sibling(path, ".old", _number(path)):
                _delete(old)
            else:
                raise OutputError(
                    f"{path} is not the output that genzoo was writing when it was killed, and the output that it was "
                    f"replacing is in {old}. Move one of the two away."
                )
        finally:
            os.close(handle)


def _is_empty(path: Path) -> bool:
    """Whether nothing exists there, or an empty folder, which a rename replaces."""
    return not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))


def _number(folder: Path) -> str:
    """The inode number of a folder, which renaming keeps, as eight digits."""
    return f"{os.lstat(folder).st_ino % 2**32:08x}"


def _appeared(path: Path, error: OSError) -> Exception:
    if error.errno not in TAKEN:
        return error
    return OutputError(f"{path} has appeared meanwhile and is not overwritten: use --force, or give another name.")


def _rename_new(source: Path, path: Path) -> None:
    """Rename a file to an unused name; `OutputError` if the name is taken."""
    try:
        if _rename(source, path, NO_REPLACE):
            return
        try:
            os.link(source, path)
            os.unlink(source)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            if os.path.lexists(path):
                raise OSError(errno.EEXIST, "") from None
            os.rename(source, path)
    except OSError as error:
        raise _appeared(path, error) from None


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two names atomically; False if the system cannot."""
    try:
        failpoint("folder.exchange")
    except OSError:
        return False
    return _rename(a, b, EXCHANGE)


def _rename(a: Path, b: Path, flags: int) -> bool:
    """renameat2, which Linux supports on most file systems; False if it is missing."""
    import ctypes

    call = _renameat2()
    if call is None:
        return False
    if call(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(a), None, str(b))


@functools.cache
def _renameat2() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # musl before 1.2.4
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call


# ---- temporary names ------------------------------------------------------------------------------------------------
# A temporary name contains the final name and a checksum, so that no foreign file is mistaken for ours. It is locked
# while its process lives.

_ours: dict[Path, int] = {}  # temporary names and the process they belong to: a fork inherits its parent's


@contextmanager
def _temporary(path: Path, create: Callable[[Path], None]) -> Iterator[Path]:
    """A new file or folder with a temporary name next to `path`. Whatever has that name at the end is deleted."""
    temporary, handle = _sibling(path), None
    try:
        while handle is None:
            temporary = _sibling(path)
            _ours[temporary] = os.getpid()
            create(temporary)
            try:
                handle = lock(temporary)  # None: another process has just taken it for a leftover
            except OSError:
                handle = UNLOCKED
        yield temporary
    finally:
        if handle not in (None, UNLOCKED):
            os.close(handle)
        _delete(temporary)
        _ours.pop(temporary, None)


def _create(path: Path, mode: int) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def _sibling(path: Path, suffix: str = ".tmp", token: str = "") -> Path:
    """A hidden name in the same folder, and so on the same disk; `token` is eight digits, new by default."""
    token, stem = token or secrets.token_hex(4), _stem(path.name)
    return path.with_name(f".{stem}.{token}{_checksum(stem, token)}{suffix}")


def _stem(name: str) -> str:
    return name if len(os.fsencode(name)) <= LONGEST else f"{name[:40]}~{sha256(os.fsencode(name))[:16]}"


def _checksum(stem: str, token: str) -> str:
    return sha256(os.fsencode(f"{token} {stem}"))[:8]


def _target_of(name: str) -> str:
    """The stem of the final name in a temporary name, or "" if it is not ours."""
    found = re.fullmatch(r"\.(.+)\.([0-9a-f]{8})([0-9a-f]{8})\.(tmp|old)", name, re.DOTALL)
    return found[1] if found and _checksum(found[1], found[2]) == found[3] else ""


def _siblings(folder: Path, suffix: str, targets: re.Pattern[str]) -> list[Path]:
    """The temporary names in a folder for these final names."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / n for n in names if n.endswith(suffix) and targets.fullmatch(_target_of(n))]


def _only(path: Path) -> re.Pattern[str]:
    return re.compile(re.escape(_stem(path.name)))


def remove_leftovers(path: Path) -> None:
    """Delete the temporary files and folders of killed processes for `path`."""
    _recover(path)
    remove_temporaries(path.parent, _only(path))


def remove_temporaries(folder: Path, targets: re.Pattern[str]) -> None:
    """Delete the temporary files and folders of killed processes for these names, and none of a live process."""
    for left in _siblings(folder, ".tmp", targets):
        with suppress(OSError):  # cannot be locked: its writer may be alive
            handle = lock(left)
            if handle is not None:
                _delete(left)
                os.close(handle)


def lock(path: Path) -> int | None:
    """Lock a file or folder until the process ends. Returns a handle, or None if another process holds the lock.

    `OSError` if files cannot be locked.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(path)):  # else it was deleted before it was locked
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


class Exclusive:
    """A lock file held by one process at a time. It names its holder, for the `OutputError` of the others.

    Set `path` again if its folder is renamed. If files cannot be locked, nothing happens.
    """

    def __init__(self, path: Path, doing: str) -> None:
        self.path, self.doing, self.handle = path, doing, UNLOCKED

    def __enter__(self) -> Self:
        with _disk_errors(self.path):
            self.path.touch()
            try:
                handle = lock(self.path)
            except OSError:
                return self
            if handle is None:
                raise OutputError(
                    f"{self.path.parent} is in use: {self.doing} by {self._holder()}. Wait for it, or stop it."
                )
            self.handle = handle
            self.path.write_text(f"{_this_process()}\n")
        return self

    def _holder(self) -> str:
        with suppress(OSError):
            return read_bytes(self.path, LONGEST_HOLDER).decode(errors="replace").strip() or "another process"
        return "another process"

    def __exit__(self, *error: object) -> None:
        if self.handle == UNLOCKED:
            return
        with deferred():  # a signal meant for another thread's work would leave the file behind
            with suppress(OSError):
                if os.path.samestat(os.fstat(self.handle), os.stat(self.path)):  # else the folder has been replaced
                    os.unlink(self.path)
            os.close(self.handle)


def _this_process() -> str:
    import getpass
    import platform
    import time

    user = ""
    with suppress(OSError, KeyError, ImportError):  # a user id without a name, as in containers
        user = f" of {getpass.getuser()}"
    return f"process {os.getpid()}{user} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def _delete(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)


@atexit.register
def delete_temporaries() -> None:
    """Delete the temporary files of this process, which is about to exit while writing."""
    for path, process in list(_ours.items()):
        if process == os.getpid():
            _delete(path)


# ---- the system -----------------------------------------------------------------------------------------------------


def _copy_permissions(source: Path, target: Path) -> None:
    """Copy mode, owner and access lists of a file, as far as permitted."""
    state = source.stat()
    with suppress(OSError, AttributeError):
        os.chown(target, state.st_uid, state.st_gid)
    with suppress(OSError):
        shutil.copystat(source, target)
    os.utime(target)


def _keep_permissions(old: Path, new: Path) -> None:
    """Give the folder `new` and its files the permissions of those in `old`. Files that `old` does not have, such as
    weights named by digest, take the strictest."""
    if not old.is_dir():
        return
    strictest = _strictest(old)
    for path in (new, *new.rglob("*")):
        before = old / path.relative_to(new)
        if before.exists() and not before.is_symlink():
            _copy_permissions(before, path)
        elif path.is_file():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & strictest)


def _strictest(folder: Path) -> int:
    """The permissions common to all files below a folder; those of a new file if there are none."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return functools.reduce(operator.and_, (path.stat().st_mode for path in files), 0o666)


def _sync(path: Path) -> None:
    """Sync a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync folders
            raise
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn errors that the user can fix, such as a full or read-only disk, into an `OutputError`."""
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
