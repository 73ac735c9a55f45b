"""What a run measured, as JSON lines that survive being cut off anywhere.

Three kinds of rows, told apart by their fields, ordered by ``step``::

    {"step": 60, "loss": 3.41, "grad_norm": 0.8, "update_finite": true}    one per step
    {"step": 60, "window_loss": 3.47, "window": 30}                        mean of steps 31 .. 60
    {"step": 60, "held_out": 3.52}                                         what observers return

Losses are bits/dim. JSON has no NaN, so non-finite numbers, also those in lists, are the strings
``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, which `read_metrics` (and `float`) turn back.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from flowjax_glow.errors import expected
from flowjax_glow.files import from_strict, naming, strict, write_atomically

#: One line of a metrics file.
Row: TypeAlias = dict[str, Any]

#: Fields that are computed with; what observers add beside them may be anything.
_NUMBERS = ("loss", "window_loss", "held_out", "held_out_averaged")


class MetricsLog(AbstractContextManager["MetricsLog"]):
    """Appends rows to a metrics file, and a row for every full window of steps.

    Opening a file that exists continues it; a torn last line is dropped.

    Args:
        window: steps whose mean loss has a row of its own.
        also: is told every row that is written, the mean losses included.

    Raises:
        OSError: with the path, if the file cannot be read or written.
        ValueError: as `read_metrics`, if the file exists.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        window: int = 30,
        also: Callable[[Row], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self.window = window
        self._also = also
        self._file: TextIO | None = None
        self._losses: list[float] = []
        self.cut_back(None)

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes ``{"step": step, **values}``; a field ``loss`` marks the row of a step.

        Raises:
            OSError: with the path, if the row cannot be written.
        """
        self._write({"step": step, **values})
        if "loss" not in values:
            return
        self._losses.append(values["loss"])
        if step % self.window == 0:
            if len(self._losses) == self.window:
                mean = sum(self._losses) / self.window
                self._write({"step": step, "window_loss": mean, "window": self.window})
            self._losses = []

    def cut_back(self, step: int | None) -> None:
        """Drops a torn last line and, unless None, the rows beyond `step`; else leaves the file.

        Raises:
            OSError: with the path, if the file cannot be read or written.
            ValueError: as `read_metrics`.
        """
        self.close()
        rows = read_metrics(self.path) if self.path.exists() else []
        kept = [row for row in rows if step is None or row["step"] <= step]
        content = "".join(_encode(row) for row in kept).encode()
        if self.path.exists() and self.path.read_bytes() != content:
            write_atomically(self.path, content)
        self._losses = _unfinished_window(kept, self.window)

    def sync(self) -> None:
        """Returns once all rows are on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; the next row opens it again."""
        file, self._file = self._file, None
        if file is not None:
            with naming(self.path):  # what could not be written before is tried again
                file.close()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _write(self, row: Row) -> None:
        with naming(self.path):
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(_encode(row))
            self._file.flush()  # a killed process loses no row; only a power cut can, until sync
        if self._also is not None:
            self._also(row)


def read_metrics(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a metrics file, without a torn last line.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line before the last is no JSON object with a ``step`` and numbers.
    """
    lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    # what follows the last newline is nothing, or a line that was cut off
    return [_decode(path, number, line) for number, line in enumerate(lines[:-1], start=1)]


def _unfinished_window(rows: list[Row], window: int) -> list[float]:
    """The losses of the steps since the last multiple of `window`."""
    steps = [row for row in rows if "loss" in row]
    if not steps:
        return []
    boundary = steps[-1]["step"] // window * window
    return [row["loss"] for row in steps if row["step"] > boundary]


def _encode(row: Row) -> str:
    return json.dumps(strict(row), allow_nan=False) + "\n"


def _decode(path: str | os.PathLike[str], number: int, line: str) -> Row:
    try:
        row = from_strict(json.loads(line))
        if _is_row(row):
            return {"step": row["step"]} | row
    except (ValueError, RecursionError):
        pass
    raise expected(
        f"read_metrics({os.fspath(path)})",
        'a JSON object with a "step" and numbers on every line',
        got=f"{line[:40]!r} on line {number}",
        advice="restore the file, or delete it and train again",
    )


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and type(row.get("step")) is int
        and all(isinstance(row.get(name, 0), int | float) for name in _NUMBERS)
    )
