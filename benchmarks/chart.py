"""The chart of a report: images per second of every contender, with every round as a dot."""

import io
from typing import Any

from benchmarks.rounds import MEASURES
from benchmarks.summary import Summary, spread

_COLORS = {"ours": "#009E73", "faithful": "#0072B2", "not the same model": "#999999"}


def chart(summary: Summary) -> bytes:
    """A PNG with one panel per measure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from flowjax_glow.plotting import context, new_figure

    with context():
        figure = new_figure(height=0.8 + 0.28 * len(summary.contenders))
        panels = figure.subplots(1, len(MEASURES), sharey=True)
        for panel, measure in zip(panels, MEASURES):
            _draw(panel, summary, measure)
        panels[0].invert_yaxis()
        figure.legend(handles=_legend(), loc="outside lower center", ncols=len(_COLORS))
        stream = io.BytesIO()
        FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()


def _draw(panel: Any, summary: Summary, measure: str) -> None:
    names = list(summary.contenders)
    for row, name in enumerate(names):
        rates = summary.rates(name, measure)
        found = spread(rates)
        if found is None:
            panel.annotate("did not run", (0, row), va="center", fontsize=6, color="#666666")
            continue
        panel.barh(row, found.median, height=0.6, color=_COLORS[_kind(summary, name)], alpha=0.75)
        panel.hlines(row, found.low, found.high, color="black", linewidth=1.5)
        panel.plot(rates, [row] * len(rates), ".", color="black", markersize=2, alpha=0.5)
    panel.set_yticks(range(len(names)), names)
    panel.set_xlim(left=0)
    panel.set_title(f"{measure}, images/s")
    panel.grid(axis="y", visible=False)


def _kind(summary: Summary, name: str) -> str:
    contender = summary.contenders[name]
    if contender["ours"]:
        return "ours"
    return "faithful" if contender["faithful"] else "not the same model"


def _legend() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=color, alpha=0.75, label=kind) for kind, color in _COLORS.items()]
