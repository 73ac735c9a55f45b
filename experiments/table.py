"""The final table: one row per variant, numbers over its seeds."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from flowjax_glow.figures.selection import by_variant
from flowjax_glow.runs.results import Run

#: No table is as wide: it takes the width it needs, so that nothing is cut off, also in a pipe.
_WIDTH = 1000

_COLUMNS = (
    "variant",
    "runs",
    "bits/dim\nheld out",
    "lost, %,\ntau = 1",
    "activation,\ntau = 1",
    "images\nback, %",
)

#: What the columns mean, and where the rest is.
_NOTE = """\
Lost: samples whose latents come back with a relative error above 1e-2.
Activation: the largest of any sample. Images back: in the same bins. Round
trips, scales, clips and times: summary.json of each run (docs/run-folder.md)."""


def summary_table(runs: Sequence[Run]) -> str:
    """The table as text: mean [lowest, highest] over the finished seeds of each variant."""
    table = Table(title=_title(runs), box=box.SIMPLE_HEAD, show_lines=True, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True)
    for variant, group in by_variant(runs).items():
        table.add_row(variant, *_cells(group))
    stream = StringIO()
    Console(file=stream, width=_WIDTH, markup=False).print(table)
    lines = stream.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).rstrip() + f"\n\n{_NOTE}\n"


def _title(runs: Sequence[Run]) -> str:
    """With the bits of the images, without which bits/dim say nothing."""
    bits = sorted({str(run.config.get("n_bits", "?")) for run in runs})
    return f"Mean [lowest, highest] over seeds; images of {' or '.join(bits)} bits"


def number(value: float) -> str:
    """Short: ``1.934``, ``3e-6``, ``inf``."""
    if not math.isfinite(value) or value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")


def two_digits(value: float) -> str:
    """Shorter: ``19``, ``4.1e20``."""
    return f"{value:.2g}".replace("e+0", "e").replace("e+", "e")


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
        _in_two_lines([summary.get("bits_per_dim") for summary in found], "{:.3f}".format),
        _in_two_lines([_at_one(summary, "broken") for summary in found], percent),
        _in_two_lines([_at_one(summary, "max_activation") for summary in found], two_digits),
        over_seeds([summary.get("bit_exact") for summary in found], percent).partition(" ")[0],
    ]


def _at_one(summary: Mapping[str, Any], name: str) -> float | None:
    """Of the samples at tau = 1."""
    return (summary.get(name) or {}).get("1")


def _in_two_lines(values: Sequence[Any], show=number) -> str:
    return over_seeds(values, show).replace(" [", "\n[")


def _statuses(group: Sequence[Run]) -> str:
    """``2 done``, ``1 diverged``; a run without its summary is not done, whatever it says."""
    names = [
        "unfinished" if run.status in ("running", "done") and not run.is_finished else run.status
        for run in group
    ]
    return "\n".join(f"{count} {name}" for name, count in Counter(names).items())
