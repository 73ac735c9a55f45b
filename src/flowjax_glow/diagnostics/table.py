"""What a diagnostic found: a table that prints itself, converts to JSON and draws itself."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from flowjax_glow.files import strict


class Result:
    """A table: a subclass is a frozen dataclass of arrays of one length, a column each.

    The first column names the rows; the others are numbers, truth values or words.
    """

    #: What the table is called where it is printed or drawn.
    title: ClassVar[str] = ""

    def columns(self) -> dict[str, list[Any]]:
        """Plain Python values by column, in the order of the fields."""
        fields = (field.name for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return {name: np.asarray(getattr(self, name)).tolist() for name in fields}

    def to_json(self) -> dict[str, list[Any]]:
        """`columns`, with strings such as ``"NaN"`` for what JSON does not have."""
        return strict(self.columns())

    def __str__(self) -> str:
        head, *_ = cells = [list(self.columns())] + [
            [short(value) for value in row] for row in zip(*self.columns().values(), strict=True)
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in cells]
        return "\n".join([self.title, *lines] if self.title else lines)

    def plot(self, axes: Any = None) -> Any:
        """Draws every column of numbers over the first one; returns the matplotlib axes."""
        from matplotlib import pyplot

        from flowjax_glow import plotting
        from flowjax_glow.layer_axis import flow_steps, name_layers

        (name, rows), *others = self.columns().items()
        with plotting.context():
            if axes is None:
                size = (plotting.WIDTH, 3.4)
                axes = pyplot.figure(figsize=size, layout="constrained").subplots()
            of_layers = name == "layer" and len(rows) > 0
            places = flow_steps(rows).tolist() if of_layers else list(range(len(rows)))
            for column, values in others:
                if any(isinstance(value, str) for value in values):
                    continue
                sizes = [abs(float(value)) for value in values]
                drawn = [
                    value if math.isfinite(value) and value > 0 else math.nan for value in sizes
                ]
                axes.plot(places, drawn, marker="." if len(rows) < 40 else None, label=column)
            axes.set(title=self.title, yscale="log", xlabel=name, ylabel="absolute value")
            if of_layers:
                name_layers(axes, rows)
                axes.set_xlabel(name)  # in either direction
            else:
                shown = places[:: max(1, len(places) // 12)]
                axes.set_xticks(shown, [short(rows[i]) for i in shown], rotation=30, ha="right")
            axes.legend()
        return axes


def short(value: Any) -> str:
    """``1.934``, ``3e-06``, ``inf``, ``yes``; text as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if value == 0 or 1e-2 <= abs(value) < 1e4 else f"{value:.2g}"
    return str(value)


def worst(values: Any) -> float:
    """The largest, infinite where anything is not a number."""
    known = np.asarray(values, np.float64)
    return float(np.where(np.isnan(known), np.inf, known).max())


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
