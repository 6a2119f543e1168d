"""Output appears whole or not at all, replaces only genzoo's own, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.errors import OutputError
from zoo.system import files
from zoo.system.files import Exclusive, lock

MARKER = "manifest.json"
OURS = {"schema": 1, "versions": {"genzoo": "0.1.0"}}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def write_export(work: Path, text: str = "old") -> None:
    """The files of an export, as an exporter writes them."""
    (work / "sub").mkdir()
    (work / "sub" / "weights").write_text(text)
    (work / MARKER).write_text(json.dumps({**OURS, "files": files.listing(work)}))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    with files.atomic_folder(path) as work:
        write_export(work)
    return path


def killed_at(points: str, code: str, *arguments: object) -> int:
    """The return code of a process that runs `code` with failpoints."""
    command = [
        sys.executable,
        "-c",
        f"import sys\nfrom pathlib import Path\nfrom zoo.system import files\n{code}",
        *arguments,
    ]
    environment = {**os.environ, "ZOO_FAILPOINT": points}
    return subprocess.run([str(word) for word in command], env=environment, capture_output=True, check=False).returncode


WRITE_FILE = "with files.atomic_write(sys.argv[1]) as file: file.write(b'new')"
REPLACE = f"""
with files.atomic_folder(sys.argv[1], force=True, marker={MARKER!r}) as work:
    (work / {MARKER!r}).write_text('{json.dumps({**OURS, "files": {}})}')
"""


# ---- files


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("new", "old", "folder/on/the/way"):
        with pytest.raises(failure), files.atomic_write(tmp_path / name, force=True) as file:  # noqa: PT012
            file.write(b"half")
            raise failure
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_file_is_replaced_in_one_step_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    for text in ("one", "two"):
        with files.atomic_write(path, force=True) as file:
            file.write(text.encode())
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text
    assert names(path.parent) == ["b.txt"]
    with path.open() as reader:
        with files.atomic_write(path, force=True) as file:
            file.write(b"three")
        assert reader.read() == "two"  # whoever reads the old file is not disturbed


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with files.atomic_write(tmp_path / "link", force=True) as file:
        file.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


@pytest.mark.parametrize("exchange", [True, False])
def test_a_file_that_appears_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_renameat2", lambda: None)
    path = tmp_path / "x.csv"
    with pytest.raises(OutputError, match="appeared meanwhile"), files.atomic_write(path) as file:  # noqa: PT012
        file.write(b"mine")
        path.write_text("yours")
    assert path.read_text() == "yours"
    assert names(tmp_path) == ["x.csv"]


def test_replacing_keeps_permissions(tmp_path: Path, export: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    path = tmp_path / "x.csv"
    path.touch()
    path.chmod(0o600)
    with files.atomic_write(path, force=True) as file:
        assert mode(Path(file.name)) == 0o600
    export.chmod(0o700)
    (export / MARKER).chmod(0o640)
    with files.atomic_folder(export, force=True, marker=MARKER) as work:
        assert mode(work) == 0o700
        write_export(work)
    assert [mode(path), mode(export), mode(export / MARKER)] == [0o600, 0o700, 0o640]


def test_new_files_of_a_replaced_folder_take_the_strictest_permissions(export: Path) -> None:
    (export / "sub" / "weights").chmod(0o600)
    with files.atomic_folder(export, force=True, marker=MARKER) as work:
        (work / "weights-2").touch()
        write_export(work)
    with files.atomic_write(export / "picture", like=export) as file:
        file.write(b"x")
    modes = {name: stat.S_IMODE((export / name).stat().st_mode) for name in (MARKER, "weights-2", "picture")}
    assert modes == {MARKER: 0o644, "weights-2": 0o600, "picture": 0o600}


# ---- folders


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with files.atomic_folder(path) as work:
        write_export(work, "1")
        assert not path.exists()
    assert (path / "sub" / "weights").read_text() == "1"
    with pytest.raises(OutputError, match="--force"), files.atomic_folder(path):
        pass
    with files.atomic_folder(path, force=True, marker=MARKER) as work:
        write_export(work, "2")
    assert (path / "sub" / "weights").read_text() == "2"
    with pytest.raises(RuntimeError), files.atomic_folder(path, force=True, marker=MARKER) as work:
        raise RuntimeError
    assert names(path) == [MARKER, "sub"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("love.txt", ""),
        (MARKER, '{"name": "A web app", "icons": []}'),
        (MARKER, '{"schema": 1, "files": {"main.js": "/static/main.js"}}'),
        (MARKER, '{"schema": 1, "files": {}}'),
        (MARKER, '{"schema": 1, "versions": {"updater": "1.0"}, "files": {}}'),
        (MARKER, "[" * 100_000),
    ],
)
def test_force_does_not_replace_a_folder_that_we_did_not_write(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(OutputError, match="not replaced"):
        files.check_output_folder(tmp_path, force=True, marker=MARKER)


@pytest.mark.parametrize("name", ["letter.txt", "sub/letter.txt", "more/letter.txt", "empty/", ".out.0123456789ab.tmp"])
def test_force_names_what_we_did_not_write(export: Path, name: str) -> None:
    files.check_output_folder(export, force=True, marker=MARKER)
    place = export / name
    if name.endswith("/"):
        place.mkdir()
    else:
        place.parent.mkdir(exist_ok=True)
        place.touch()
    first = name.split("/")[0] if not name.startswith("sub") else name
    with pytest.raises(OutputError, match=f"it holds {first}, which genzoo did not write"):
        files.check_output_folder(export, force=True, marker=MARKER)


@pytest.mark.parametrize("text", ["my notes", "OLD"])  # of another length, and of the same
def test_force_names_what_was_changed(export: Path, text: str) -> None:
    files.check_output_folder(export, force=True, marker=MARKER)
    (export / "sub" / "weights").write_text(text)
    with pytest.raises(OutputError, match="it holds sub/weights, which has changed since genzoo wrote it"):
        files.check_output_folder(export, force=True, marker=MARKER)


def test_what_appears_in_a_folder_at_the_last_moment_stays(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = files._rename

    def late(a: Path, b: Path, flags: int) -> bool:
        (export / "letter.txt").touch()
        monkeypatch.setattr(files, "_rename", rename)
        return rename(a, b, flags)

    monkeypatch.setattr(files, "_rename", late)
    with pytest.raises(OutputError, match=r"letter\.txt"), files.atomic_folder(export, True, MARKER) as work:
        write_export(work, "new")
    assert names(export) == ["letter.txt", MARKER, "sub"]
    assert (export / "sub" / "weights").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_the_current_folder_is_not_replaced(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(export / "sub")
    with pytest.raises(OutputError, match="current folder"):
        files.check_output_folder("..", force=True, marker=MARKER)


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = files.os.rename, []

    def second_fails(a: Path, b: Path) -> None:
        calls.append(a)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(a, b)

    monkeypatch.setattr(files, "_renameat2", lambda: None)
    monkeypatch.setattr(files.os, "rename", second_fails)
    with pytest.raises(OutputError, match="No space left"), files.atomic_folder(export, True, MARKER) as work:
        write_export(work, "new")
    assert (export / "sub" / "weights").read_text() == "old"
    assert names(tmp_path) == ["out"]


# ---- killed


@pytest.mark.parametrize("point", ["file.created", "file.written", "file.synced"])
def test_the_next_run_removes_what_a_kill_left(tmp_path: Path, point: str) -> None:
    theirs = (".x.csv.0123456789abcdef.tmp", ".x.csv.tmp", ".x.csv.swp")  # look like ours, and are somebody else's
    for name in theirs:
        (tmp_path / name).touch()
    assert killed_at(f"{point}:SIGKILL", WRITE_FILE, tmp_path / "x.csv") == -signal.SIGKILL
    assert len(names(tmp_path)) == len(theirs) + 1
    with files.atomic_write(tmp_path / "y.csv"):  # another file: that one's run may be alive
        assert len(names(tmp_path)) == len(theirs) + 2
    with files.atomic_write(tmp_path / "x.csv"):
        pass
    assert names(tmp_path) == sorted([*theirs, "x.csv", "y.csv"])


def test_what_a_living_process_writes_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "x", force=True) as first:
        first.write(b"first")
        with files.atomic_write(tmp_path / "x", force=True) as second:
            second.write(b"second")
        assert (tmp_path / "x").read_text() == "second"
    assert (tmp_path / "x").read_text() == "first"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("steps", ["folder.exchange:EINVAL,", ""], ids=["renames", "exchange"])
@pytest.mark.parametrize("point", ["synced", "moved", "replaced", "published"])
def test_a_kill_while_replacing_loses_no_folder(
    tmp_path: Path, export: Path, point: str, steps: str, how: signal.Signals
) -> None:
    killed = killed_at(f"{steps}folder.{point}:{how.name}", REPLACE, export)
    assert killed == (0 if not steps and point in ("moved", "replaced") else -how)
    with pytest.raises(OutputError, match="exists"):  # as any run says that finds a folder there
        files.check_output_folder(export)
    assert names(export) in ([MARKER, "sub"], [MARKER])
    with files.atomic_folder(export, force=True, marker=MARKER) as work:
        write_export(work, "again")
    assert names(tmp_path) == ["out"]
    assert (export / "sub" / "weights").read_text() == "again"


@pytest.mark.parametrize("theirs", [None, "letter.txt"])
def test_what_takes_the_place_of_a_folder_after_a_kill_is_not_taken_for_the_new_one(
    tmp_path: Path, export: Path, theirs: str | None
) -> None:
    assert killed_at("folder.exchange:EINVAL,folder.moved:SIGKILL", REPLACE, export) == -signal.SIGKILL
    export.mkdir()
    if theirs is None:
        with pytest.raises(OutputError, match="exists"):
            files.check_output_folder(export)
        assert (export / "sub" / "weights").read_text() == "old"
        return
    (export / theirs).touch()
    with pytest.raises(OutputError, match=r"was replacing is in .*\.old"):
        files.check_output_folder(export, force=True, marker=MARKER)
    assert names(export) == [theirs]
    (old,) = tmp_path.glob("*.old")
    assert (old / "sub" / "weights").read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("holder", ["a pipe", "a terabyte of holes", "process 5 of anna"])
def test_who_holds_a_lock_is_read_from_a_short_file_only(tmp_path, holder):
    path = tmp_path / "training.lock"
    if holder == "a pipe":
        os.mkfifo(path)
    else:
        path.write_text(holder)
    if holder == "a terabyte of holes":
        os.truncate(path, 2**40)
    handle = lock(path)
    try:
        known = holder if holder.startswith("process") else "another process"
        with pytest.raises(OutputError, match=f"is in use: trained by {known}"), Exclusive(path, "trained"):
            pass
    finally:
        os.close(handle)


def test_a_signal_while_a_lock_is_given_back_leaves_no_file(tmp_path, monkeypatch):
    compare = os.path.samestat

    def interrupted(*stats):
        signal.raise_signal(signal.SIGINT)
        return compare(*stats)

    with pytest.raises(KeyboardInterrupt), Exclusive(tmp_path / "lock", "tested"):
        monkeypatch.setattr(os.path, "samestat", interrupted)
    assert list(tmp_path.iterdir()) == []
