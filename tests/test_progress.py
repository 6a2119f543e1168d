"""Progress without a terminal: lines with the current task and the time left."""

from __future__ import annotations

import contextlib
import io
import time

import pytest

from zoo.cli import progress
from zoo.training.forecast import Forecast


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.05)
    monkeypatch.setattr(progress, "SECONDS", 0.1)


def percent(done, total):
    return f"{done / total:.0%}"


def test_the_time_that_is_left():
    lines = progress.Lines("exporting x", percent)
    lines.began = 100.0
    lines.stage, lines.done, lines.total, lines.reported = "comparing", 1, 4, 110.0
    assert lines.line(110.0) == "exporting x: comparing, 25%, 30 s left"
    assert lines.line(115.0) == "exporting x: comparing, 25%, 25 s left"  # it goes on while nothing is reported
    assert lines.line(900.0) == "exporting x: comparing, 25%, 0 s left"
    lines.done = lines.total = 0
    assert lines.line(115.0) == "exporting x: comparing, for 15 s"


def test_what_a_training_takes_is_a_sentence():
    forecast = Forecast(seconds=610, memory=2**30, device_memory=2**31)
    words = "takes about 10 min 10 s and 1.0 GiB of memory and 2.0 GiB of the memory of the device"
    assert progress.forecast_line(forecast) == f"{words}, estimated from its first steps"
    alone = progress.forecast_line(Forecast(seconds=610, memory=0, device_memory=0))
    assert alone == "takes about 10 min 10 s, estimated from its first steps"


def test_a_line_though_nothing_is_reported(fast, capsys):
    with progress.stages("exporting x") as show:
        show("tracing sample", 0, 2)
        time.sleep(0.01)
        show("tracing log_prob", 1, 2)
        with contextlib.redirect_stderr(io.StringIO()):  # as exporters do
            time.sleep(0.5)
    said = capsys.readouterr().err.splitlines()
    assert set(said) == {"exporting x: tracing log_prob, 50%, 0 s left"}
    assert len(said) < 8


def test_what_is_quick_says_nothing(capsys):
    with progress.rows("sample") as show:
        for done in range(100):
            show(done, 100)
    assert capsys.readouterr().err == ""
