"""Progress: plain lines in a log, a bar on a terminal, silence on a closed stream."""

import io
import sys

import pytest

from flowjax_glow.training import Progress, progress
from flowjax_glow.training.display import Screen, clock_time


class Terminal(io.StringIO):
    def isatty(self):
        return True


class BrokenPipe(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


class BrokenTerminal(Terminal):
    def write(self, text):
        raise BrokenPipeError


class Recorder(Screen):
    seconds = 5.0

    def __init__(self):
        self.shown = []

    def show(self, step, status):
        self.shown.append((step, status))


def test_speed_and_time_left_leave_out_the_first_step():
    ticks = iter([100.0, 101.0, 106.0, 107.0, 108.0])
    screen = Recorder()
    bar = Progress(5, screen, clock=lambda: next(ticks))
    for step in range(1, 6):
        bar.update(step, loss=3.14159, images=30)
    assert screen.shown == [
        (1, "3.142 bits/dim"),
        (3, "3.142 bits/dim, 10 images/s, 0:06 left"),
        (5, "3.142 bits/dim, 15 images/s, 0:00 left"),
    ]


def test_without_a_terminal_it_writes_plain_lines():
    stream = io.StringIO()
    with progress(2, "control", stream) as bar:
        bar.update(1, loss=8.0, images=16)
        bar.update(2, loss=float("nan"), images=16)
    first, last = stream.getvalue().splitlines()
    assert first == "control: step 1/2, 8.000 bits/dim"
    assert last.startswith("control: step 2/2, nan bits/dim, ")
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_it_draws_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with progress(2, "[control]", stream) as bar:
        bar.update(1, loss=8.0, images=16)
        bar.update(2, loss=7.5, images=16)
    assert "[control]" in stream.getvalue()
    assert "7.500 bits/dim" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_no_color_means_no_color(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with progress(1, "control", stream) as bar:
        bar.update(1, loss=8.0, images=16)
    assert "\x1b[3" not in stream.getvalue()


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress(1, "control", stream) as bar:
        bar.update(1, loss=8.0, images=16)
    assert stream.getvalue() == "control: step 1/1, 8.000 bits/dim\n"


def test_without_rich_a_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    stream = Terminal()
    with progress(1, "control", stream) as bar:
        bar.update(1, loss=8.0, images=16)
    assert stream.getvalue() == "control: step 1/1, 8.000 bits/dim\n"


@pytest.mark.parametrize("kind", [BrokenPipe, BrokenTerminal])
def test_a_broken_stream_ends_the_display_and_nothing_else(monkeypatch, kind):
    monkeypatch.setenv("TERM", "xterm")
    with progress(2, "control", kind()) as bar:
        bar.update(1, loss=8.0, images=16)
        bar.update(2, loss=8.0, images=16)


def test_a_closed_stream_ends_the_display_and_nothing_else(monkeypatch):
    stream = io.StringIO()
    with progress(2, "control", stream) as bar:
        stream.close()
        bar.update(2, loss=8.0, images=16)
    with progress(2, "control", stream) as bar:
        bar.update(2, loss=8.0, images=16)
    monkeypatch.setattr(sys, "stderr", None)
    with progress(2, "control") as bar:
        bar.update(2, loss=8.0, images=16)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3600, "1:00:00")]
)
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text
