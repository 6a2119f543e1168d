"""Files that appear whole or not at all.

What is written goes to a temporary name in the same folder, reaches the disk, and is renamed. Whatever interrupts
the writing (an error, a signal) leaves neither a half-written file nor the temporary one, and what was there before
stays. What a killed process left is removed by the next that writes to the same place. A disk that is full, or a folder
that may not be written, becomes an `OutputError`.
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

# what the system says when the place is the trouble, not the program
DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.ELOOP, errno.EISDIR,
}  # fmt: skip
TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}
NO_REPLACE, EXCHANGE = 1, 2  # flags of renameat2
AT_FDCWD = -100
PIECE = 2**22  # bytes of a file that are hashed at once
MAX_JSON = 2**26  # bytes: the longest histories and lists of names take a few millions
DEEPEST = 64  # levels of JSON
UNLOCKED = -1  # in place of a handle, where files cannot be locked
LONGEST = 200  # bytes of a name that a temporary one still holds
LONGEST_HOLDER = 1000  # bytes of what a lock says of its holder
SHA256 = re.compile(r"[0-9a-f]{64}")

Identity = tuple[int, int, int, int]  # changes whenever the content of a file does, or another takes its place

_digests: dict[Identity, str] = {}  # of files that lie in folders to be replaced, which are looked at several times


class Known(NamedTuple):
    """What is known of a file that genzoo wrote: how its SHA-256 begins, and how long it is, if that is known."""

    sha256: str = ""
    bytes: int | None = None


# The files in a folder that genzoo wrote, by looking at the folder, their names relative to it; None: it is not ours
Ours = Callable[[Path], "Mapping[str, Known] | None"]


def sha256(data: bytes | str | Path) -> str:
    """The SHA-256 of bytes, or of the file at a path, in hex."""
    if isinstance(data, (str, Path)):
        with open_regular(data) as file:
            return sha256_of(file)
    return hashlib.sha256(data).hexdigest()


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, in hex. A signal that stops the command stops it, in any thread."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        check_signals()
        digest.update(piece)
    return digest.hexdigest()


def identity(file: Path | int) -> Identity:
    """What tells a file, by its path or handle, from all others and from itself with other content."""
    found = os.stat(file)
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def open_regular(path: str | Path) -> io.BufferedReader:
    """A file to read; `OSError` for a pipe or a device, which could be waited for without end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return open(handle, "rb")


def read_bytes(path: str | Path, most: int) -> bytes:
    """The bytes of a file; `OSError` if it is longer than `most`, or no file."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
        return file.read()


def parse_json(text: str | bytes) -> Any:
    """A value of JSON; `ValueError` if it is none, or is nested too deep for what goes through it level by level."""
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
    """`InputError` for a file in place of the folder around it. A name without a folder may be that of a model."""
    if path.is_file() and (len(path.parts) > 1 or path.suffix == ".onnx"):
        raise InputError(f"{path} is a file; give its folder: {path.parent} (or: zoo inspect {path}).")


# ---- what may be written where --------------------------------------------------------------------------------------


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


def check_output_folder(path: str | Path, force: bool = False, marker: str | Ours | None = None) -> Path:
    """`path` as a folder that can be written; `OutputError` says why not. Call it before the work starts.

    `force` replaces only a folder that genzoo wrote, and only if all that lies in it is as it was written. `marker`
    tells: the name of a JSON file that `listed` takes; or a function.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file; expected the name of a folder to write.")
    if Path.cwd().is_relative_to(path.resolve()):
        raise OutputError(f"{path} is the current folder or one around it; give the name of a new folder.")
    _recover(path)
    if path.exists() and any(path.iterdir()):
        if not force:
            raise OutputError(f"{path} exists; use --force to replace it, or give another name.")
        check_ours(path, marker)
    _check_parent(path)
    return path


def check_ours(folder: Path, marker: str | Ours | None, name: Path | None = None) -> None:
    """`OutputError` names what lies in a folder that genzoo did not write. `name` is what to call the folder."""
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
    """Whether `path` is a file, and the one that is known."""
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

    It has a number `schema`, in `versions` that of `genzoo`, and in `files` the other files as `listing` gives them.
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
    """The folder of an output can be written, or is missing and can be made."""
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: {parent} is not a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {parent}. Give another place.")
    try:
        tempfile.TemporaryFile(dir=parent).close()  # in some file systems, such as /proc, not even root makes files
    except OSError as error:
        raise OutputError(f"cannot write {path}: no file can be made in {parent} ({error.strerror}).") from None


@contextmanager
def _parent_of(path: Path) -> Iterator[None]:
    """The folder of an output exists in this block. If the block fails, folders that were made for it vanish."""
    missing = [p for p in path.parents if not p.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # in some file systems, such as /proc, not even root makes folders
        raise OutputError(f"cannot write {path}: {path.parent} cannot be made ({error.strerror}).") from None
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
    """Yields a binary file; what was written to it becomes `path` when the block ends without an error.

        with atomic_write("scores.csv") as file:
            file.write(b"...")

    Missing folders on the way are made. An existing file is replaced only with `force`, and its permissions stay. A
    new one takes those of the file `like`, or the strictest of the files in the folder `like`.
    """
    path = Path(os.path.realpath(path))  # a symbolic link stays: what it points to is replaced
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
    """Yields a temporary folder beside `path`; it becomes `path`, whole, when the block ends without an error.

    With `force` it takes the place of a folder that genzoo wrote (see `check_output_folder` for `marker`), in one step
    where the system can exchange names. Permissions stay.
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
            check_output_folder(path, force, marker)  # somebody may have made it since
            with deferred():
                _publish(temporary, final, marker)
            failpoint("folder.published")
        failpoint("folder.emptied")
        _sync(final.parent)


def _publish(new: Path, path: Path, marker: str | Ours | None) -> None:
    """Rename the folder `new` to `path`. What was there has the name `new` then, or nothing has it."""
    if not path.exists() or not any(path.iterdir()):
        try:
            os.rename(new, path)  # replaces an empty folder, and nothing else
        except OSError as error:
            raise _appeared(path, error) from None
        return
    if not _exchange(new, path):
        _replace(new, path)
        return
    try:
        check_ours(new, marker, path)
    except OutputError:  # somebody wrote into it a moment ago
        _exchange(new, path)
        raise


def _replace(new: Path, path: Path) -> None:
    """Exchange the folders `new` and `path` where that takes several steps. `_recover` goes on after a kill."""
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
    """Put a folder back that a killed process had moved away, unless the new one is in its place already.

    The name of the old one has the number of the new one in it. `OutputError` if something else has taken its place.
    """
    path = Path(os.path.realpath(path))
    for old in _siblings(path.parent, ".old", _only(path)):
        handle = None
        with suppress(OSError):
            handle = lock(old)
        if handle is None:  # whoever has moved it away may be alive
            continue
        try:
            if _is_empty(path):
                with suppress(OSError):
                    os.rename(old, path)
            elif old == _sibling(path, ".old", _number(path)):
                _delete(old)
            else:
                raise OutputError(
                    f"{path} is not what genzoo was about to put there when it was killed, and what it was to replace "
                    f"lies in {old}. Move one of the two away."
                )
        finally:
            os.close(handle)


def _is_empty(path: Path) -> bool:
    """Whether there is nothing, or a folder with nothing in it, which a rename replaces."""
    return not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))


def _number(folder: Path) -> str:
    """The file system's number of a folder, which stays when it is renamed, as eight digits."""
    return f"{os.lstat(folder).st_ino % 2**32:08x}"


def _appeared(path: Path, error: OSError) -> Exception:
    if error.errno not in TAKEN:
        return error
    return OutputError(f"{path} has appeared meanwhile and is not overwritten: use --force, or give another name.")


def _rename_new(source: Path, path: Path) -> None:
    """Rename a file to a name that nothing has; `OutputError` if something has it."""
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
    """Exchange two names in one step; False where the system cannot."""
    try:
        failpoint("folder.exchange")
    except OSError:
        return False
    return _rename(a, b, EXCHANGE)


def _rename(a: Path, b: Path, flags: int) -> bool:
    """renameat2, which Linux has on most disks; False where it is missing."""
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
# A temporary name holds the name that it is for, and a checksum, so that nobody else's file is taken for one of ours.
# It is locked for as long as its process lives.

_ours: dict[Path, int] = {}  # temporary names of this process, and which process that is: a fork has its parent's


@contextmanager
def _temporary(path: Path, create: Callable[[Path], None]) -> Iterator[Path]:
    """A new file or folder of a temporary name beside `path`. What has that name when the block ends is deleted."""
    temporary, handle = _sibling(path), None
    try:
        while handle is None:
            temporary = _sibling(path)
            _ours[temporary] = os.getpid()
            create(temporary)
            try:
                handle = lock(temporary)  # None: it was taken for a leftover, in the moment before this
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
    """A hidden name in the same folder, and so on the same disk; without `token`, eight digits, a new one."""
    token, stem = token or secrets.token_hex(4), _stem(path.name)
    return path.with_name(f".{stem}.{token}{_checksum(stem, token)}{suffix}")


def _stem(name: str) -> str:
    return name if len(os.fsencode(name)) <= LONGEST else f"{name[:40]}~{sha256(os.fsencode(name))[:16]}"


def _checksum(stem: str, token: str) -> str:
    return sha256(os.fsencode(f"{token} {stem}"))[:8]


def _target_of(name: str) -> str:
    """The stem of the name that a temporary name is for, or "" if it is none of ours."""
    found = re.fullmatch(r"\.(.+)\.([0-9a-f]{8})([0-9a-f]{8})\.(tmp|old)", name, re.DOTALL)
    return found[1] if found and _checksum(found[1], found[2]) == found[3] else ""


def _siblings(folder: Path, suffix: str, targets: re.Pattern[str]) -> list[Path]:
    """The temporary names in a folder that are for such names."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / n for n in names if n.endswith(suffix) and targets.fullmatch(_target_of(n))]


def _only(path: Path) -> re.Pattern[str]:
    return re.compile(re.escape(_stem(path.name)))


def remove_leftovers(path: Path) -> None:
    """Delete what killed processes left of their temporary files and folders for `path`."""
    _recover(path)
    remove_temporaries(path.parent, _only(path))


def remove_temporaries(folder: Path, targets: re.Pattern[str]) -> None:
    """Delete what killed processes left of files and folders of such names, and nothing that a living one writes."""
    for left in _siblings(folder, ".tmp", targets):
        with suppress(OSError):  # cannot be locked: whoever writes it may be alive
            handle = lock(left)
            if handle is not None:
                _delete(left)
                os.close(handle)


def lock(path: Path) -> int | None:
    """The handle of a file or folder with a lock on it, which ends with the process; None if another one has it.

    `OSError` where files cannot be locked.
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
    """A lock file that one process has at a time, with its name in it, which others are told: an `OutputError`.

    `path` may be set anew where the folder around it is renamed. Where files cannot be locked, nothing happens.
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
        with deferred():  # a signal that comes here, to another thread's work, would leave the file
            with suppress(OSError):
                if os.path.samestat(os.fstat(self.handle), os.stat(self.path)):  # else the folder has been replaced
                    os.unlink(self.path)
            os.close(self.handle)


def _this_process() -> str:
    import getpass
    import platform
    import time

    user = ""
    with suppress(OSError, KeyError, ImportError):  # a number without a name, as in containers
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
    """Delete what this process has under temporary names: for one that ends in the middle of writing."""
    for path, process in list(_ours.items()):
        if process == os.getpid():
            _delete(path)


# ---- the system -----------------------------------------------------------------------------------------------------


def _copy_permissions(source: Path, target: Path) -> None:
    """Mode, owner and access lists of a file, as far as they may be given."""
    state = source.stat()
    with suppress(OSError, AttributeError):
        os.chown(target, state.st_uid, state.st_gid)
    with suppress(OSError):
        shutil.copystat(source, target)
    os.utime(target)


def _keep_permissions(old: Path, new: Path) -> None:
    """Give the folder `new`, and the files in it, the permissions that they have in `old`. Files of other names, as
    weights that have a digest in theirs, take the strictest."""
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
    """The permissions that all files below a folder have; those of any new file if there are none."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return functools.reduce(operator.and_, (path.stat().st_mode for path in files), 0o666)


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
