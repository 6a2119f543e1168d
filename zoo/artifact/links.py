"""Artifacts whose files are links, as created by package managers, caches and volumes.

onnxruntime opens any `.onnx` file, but rejects external weights if their file is a symbolic link or has several hard
links (https://github.com/onnx/onnx/issues/7686). This only affects artifacts whose weights do not fit inside the files.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from zoo.artifact.manifest import WEIGHTS, FileEntry
from zoo.errors import OutputError
from zoo.system.files import Known, atomic_folder, sha256


def real_files(folder: Path, entries: Mapping[str, FileEntry]) -> Path:
    """A folder with the files of an artifact in which the weights are not a link: `folder` itself, the target of its
    links, or a copy in the user's cache, which is made once."""
    if not is_link(folder / WEIGHTS) or not all((folder / name).is_file() for name in entries):
        return folder  # hashing the files reports what is missing
    target = (folder / WEIGHTS).resolve().parent
    if not is_link(target / WEIGHTS) and all((folder / name).resolve() == target / name for name in entries):
        return target
    return _copy(folder, entries)


def is_link(path: Path) -> bool:
    """Whether a file is a symbolic link or has several names."""
    return path.is_symlink() or (path.exists() and path.stat().st_nlink > 1)


def copy_advice(folder: Path) -> str:
    return f"copy the artifact to real files: cp -rL {folder} FOLDER."


def _copy(folder: Path, entries: Mapping[str, FileEntry]) -> Path:
    """The copy of these files in the user's cache. Its name is derived from their names and hashes."""
    import platformdirs

    name = sha256("".join(f"{name} {entries[name].sha256}\n" for name in sorted(entries)).encode())
    place = Path(platformdirs.user_cache_dir("genzoo")) / "artifacts" / name[:32]
    if _whole(place, entries):
        return place
    if not _whole(folder, entries):
        return folder  # altered files are not copied; hashing reports them
    try:
        with atomic_folder(place, force=True, marker=lambda _: dict.fromkeys(entries, Known())) as work:
            for file in entries:
                shutil.copyfile(folder / file, work / file)
    except OutputError as error:
        if not _whole(place, entries):  # else another process was faster
            raise OutputError(
                f"{folder / WEIGHTS} is a link, which onnxruntime rejects, and it cannot be copied: "
                f"{error} Or {copy_advice(folder)}"
            ) from None
    return place


def _whole(folder: Path, entries: Mapping[str, FileEntry]) -> bool:
    """Whether all files are there, judged by their sizes; their contents are hashed later."""
    try:
        return all((folder / name).stat().st_size == entry.bytes for name, entry in entries.items())
    except OSError:
        return False
