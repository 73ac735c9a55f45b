"""Metrics: strict JSON lines, windows, and what is left after being cut off."""

import json
import math
import re

import pytest

from flowjax_glow.files import write_atomically
from flowjax_glow.training import MetricsLog, read_metrics


def write(path, steps, window=30):
    with MetricsLog(path, window) as log:
        for step in steps:
            log.append(step, {"loss": float(step)})


def windows(path):
    return [row for row in read_metrics(path) if "window_loss" in row]


def test_a_row_for_every_full_window(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 70))
    assert windows(path) == [
        {"step": 30, "window_loss": 15.5, "window": 30},
        {"step": 60, "window_loss": 45.5, "window": 30},
    ]
    assert len(read_metrics(path)) == 69 + 2


@pytest.mark.parametrize("cut", [0, 29, 30, 45, 60, 65])
def test_cut_back_and_gone_on_it_is_the_same_file(tmp_path, cut):
    whole, resumed = tmp_path / "whole.jsonl", tmp_path / "resumed.jsonl"
    write(whole, range(1, 91))
    write(resumed, range(1, 67))
    with MetricsLog(resumed) as log:
        log.cut_back(cut)
    write(resumed, range(cut + 1, 91))
    assert resumed.read_text() == whole.read_text()


def test_no_window_of_a_log_that_begins_in_its_middle(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(40, 95))
    assert [row["step"] for row in windows(path)] == [90]


def test_non_finite_numbers_are_strict_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append(1, {"loss": math.nan, "up": math.inf, "down": -math.inf, "name": "control"})
        log.append(2, {"drift": [1.5, math.inf]})
        log.sync()

    def refuse(constant):
        raise AssertionError(constant)

    first, second = path.read_text().splitlines()
    assert json.loads(second, parse_constant=refuse) == {"step": 2, "drift": [1.5, "Infinity"]}
    assert json.loads(first, parse_constant=refuse) == {
        "step": 1,
        "loss": "NaN",
        "up": "Infinity",
        "down": "-Infinity",
        "name": "control",
    }
    row, listed = read_metrics(path)
    assert listed["drift"] == [1.5, math.inf]
    assert math.isnan(row["loss"])
    assert (row["up"], row["down"], row["name"]) == (math.inf, -math.inf, "control")


@pytest.mark.parametrize("torn", ['{"step": 4, "lo', '{"step": 4, "loss": 4.0}', "\0\0", "é"])
def test_a_torn_last_line_is_ignored_and_then_dropped(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    path.write_bytes(path.read_bytes() + torn.encode()[:-1] + torn.encode()[-1:])
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]
    write(path, [4])
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4]


def test_nothing_to_cut_leaves_the_file_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    before = path.stat()
    with MetricsLog(path) as log:
        log.cut_back(3)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_log_without_rows_makes_no_file(tmp_path):
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.cut_back(3)
        log.sync()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["no json", '{"loss": 1.0}', "[1, 2]"])
def test_a_broken_line_in_the_middle_is_an_error(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    message = (
        f'read_metrics({path}): expected a JSON object with a "step" and numbers on every line, '
        f"got {line!r} on line 2; restore the file, or delete it and train again"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_metrics(path)


@pytest.mark.parametrize(("content", "stored"), [("é\n", "é\n".encode()), (b"\x00", b"\x00")])
def test_write_atomically_replaces_the_whole_file(tmp_path, content, stored):
    path = tmp_path / "file"
    path.write_text("something much longer than what comes")
    write_atomically(path, content)
    assert path.read_bytes() == stored
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
