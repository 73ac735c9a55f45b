"""The final table: one row per variant, numbers over its seeds."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.figures.selection import by_variant
from flowjax_glow.runs.results import Run

#: No table is as wide: it takes the width it needs, so that nothing is cut off, also in a pipe.
_WIDTH = 1000

_TITLE = "Runs: mean [lowest, highest] over seeds"

_COLUMNS = (
    "variant",
    "runs",
    "bits/dim\nheld out",
    "loss\nwindow of 30",
    "round trip\nof x",
    "round trip\nof z per tau",
    "min s",
    "clip hits in %\nc = 50",
    "minutes",
)


def summary_table(runs: Sequence[Run]) -> str:
    """The table as text: mean [lowest, highest] over the finished seeds of each variant."""
    table = Table(title=_TITLE, box=box.SIMPLE_HEAD, show_lines=True)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True)
    for variant, group in by_variant(runs).items():
        table.add_row(variant, *_cells(group))
    stream = StringIO()
    Console(file=stream, width=_WIDTH, markup=False).print(table)
    lines = stream.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).rstrip()


def number(value: float) -> str:
    """Short: ``1.934``, ``3e-6``, ``inf``."""
    if not math.isfinite(value) or value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")


def percent(value: float) -> str:
    """A fraction in percent: ``0``, ``12.5``."""
    return f"{100 * value:.3g}"


def over_seeds(values: Sequence[Any], show=number) -> str:
    """``mean [lowest, highest]``; a dash where nothing was measured; NaN and infinity stay."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return "-"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return show(mean)
    # NaN compares false with everything, so min and max alone could hide it
    low, high = (math.nan,) * 2 if any(map(math.isnan, known)) else (min(known), max(known))
    return f"{show(mean)} [{show(low)}, {show(high)}]"


def _cells(group: Sequence[Run]) -> list[str]:
    found = [run.summary for run in group if run.summary is not None]
    return [
        _statuses(group),
        _in_two_lines([summary.get("bits_per_dim") for summary in found]),
        _in_two_lines([summary.get("window_loss") for summary in found]),
        _in_two_lines([summary.get("x_error") for summary in found]),
        _by_key([summary.get("z_error") or {} for summary in found], number),
        _in_two_lines([summary.get("min_s") for summary in found]),
        _by_key([summary.get("clip_hits") or {} for summary in found], percent),
        _in_two_lines([_minutes(summary) for summary in found]),
    ]


def _in_two_lines(values: Sequence[Any]) -> str:
    return over_seeds(values).replace(" [", "\n[")


def _statuses(group: Sequence[Run]) -> str:
    """``2 done``, ``1 diverged``; a run without its summary is not done, whatever it says."""
    names = [
        "unfinished" if run.status in ("running", "done") and not run.finished else run.status
        for run in group
    ]
    return "\n".join(f"{count} {name}" for name, count in Counter(names).items())


def _by_key(tables: Sequence[Mapping[str, Any]], show) -> str:
    """One line per noise level or kind of decode."""
    keys = dict.fromkeys(key for table in tables for key in table)
    lines = [f"{key}: {over_seeds([table.get(key) for table in tables], show)}" for key in keys]
    return "\n".join(lines) or "-"


def _minutes(summary: Mapping[str, Any]) -> float | None:
    seconds = summary.get("seconds_total")
    return None if seconds is None else seconds / 60
