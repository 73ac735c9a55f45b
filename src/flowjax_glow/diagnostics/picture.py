"""The figure of a stability report."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flowjax_glow.diagnostics.report import StabilityReport


def draw(report: "StabilityReport") -> Any:
    """Four panels; infinities and NaN are drawn at the upper edge, as crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    tables: Any = report.tables
    for name in ("images", "samples"):
        _line(panels[0, 0], tables[f"activations, {name}"].largest, name)
        _line(panels[0, 1], tables[f"layers, {name}"].gain, name)
        if len(tables[f"scales, {name}"].layer):
            _line(panels[1, 0], tables[f"scales, {name}"].smallest, name)
    panels[0, 0].set(title="largest activation after each inverse sub-layer")
    panels[0, 1].set(title="gain of each inverse sub-layer, lower bound")
    panels[1, 0].set(title="smallest scale of each coupling")
    for panel in (panels[0, 0], panels[0, 1], panels[1, 0]):
        panel.set_xlabel("in the order of generation")
        panel.xaxis.get_major_locator().set_params(integer=True)
        if panel.lines:
            panel.set_yscale("log")
            panel.legend()

    trips, panel = tables["samples"], panels[1, 1]
    _line(panel, trips.worst, "worst", places=trips.tau)
    _line(panel, trips.median, "median", places=trips.tau)
    panel.set(title="round trip of noise", xlabel="temperature", yscale="log")
    panel.set_ylabel("relative error")
    panel.legend()
    blame = "" if report.layer is None else f"; to blame: {report.layer}"
    figure.suptitle(f"{report.verdict}{blame}")
    return figure


def _line(axes: Any, values: np.ndarray, label: str, places: np.ndarray | None = None) -> None:
    places = np.arange(len(values)) if places is None else places
    known = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    (line,) = axes.plot(places, known, marker=".", markersize=3, label=label)
    lost = places[~np.isfinite(values)]
    if lost.size:
        axes.plot(
            lost,
            np.ones(lost.size),
            "x",
            color=line.get_color(),
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
