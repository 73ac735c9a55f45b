"""One look for all figures: a variant has the same color, dashes and marker in each of them."""

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from flowjax_glow.files import write_atomically

#: Width of a figure in inches: the text of a page.
WIDTH = 7.0

#: What is not finite, in pictures; no photograph has it.
MAGENTA = (1.0, 0.0, 1.0)

#: Okabe & Ito's colors (their yellow is too pale for lines), gone on with by Tol's; dashes and
#: markers tell the variants apart in gray print.
_PENS: dict[str, tuple[str, Any, str]] = {
    "control": ("#000000", "-", "o"),
    "additive": ("#E69F00", (0, (5, 1.5)), "s"),
    "biased": ("#56B4E9", (0, (1, 1)), "^"),
    "bounded": ("#0072B2", "-", "v"),
    "randomized": ("#D55E00", (0, (4, 1.2, 1, 1.2)), "D"),
    "depth-scaled": ("#009E73", "-", "P"),
    "damped": ("#AA3377", (0, (3, 1, 1, 1, 1, 1)), "*"),
    "openai": ("#CC79A7", (0, (5, 1.5)), "X"),
    "randomized-level-end": ("#882255", (0, (1, 1)), "<"),
    "realnvp": ("#888888", "-", ">"),
    "soft-clamp": ("#999933", (0, (4, 1.2, 1, 1.2)), "h"),
    "randomized-bounded": ("#0072B2", (0, (4, 1.2, 1, 1.2)), "v"),
    "randomized-damped": ("#AA3377", (0, (4, 1.2, 1, 1.2)), "*"),
    "per-batch": ("#000000", (0, (1, 1)), "D"),
    "per-batch-bounded": ("#56B4E9", (0, (1, 1)), "v"),
    "per-batch-damped": ("#CC79A7", (0, (1, 1)), "*"),
}
_OTHER = ("#555555", (0, (1, 2)), ".")

_SETTINGS: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 9,
    "figure.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "figure.dpi": 150,
    "svg.hashsalt": "flowjax_glow",  # the same arrays give the same file
}


def pen(variant: str, *, marker: bool = False) -> dict[str, Any]:
    """Keywords of a line of that variant; variants without a color of their own are gray."""
    color, dashes, shape = _PENS.get(variant, _OTHER)
    return {"color": color, "linestyle": dashes} | ({"marker": shape} if marker else {})


def order(variants: set[str]) -> list[str]:
    """Variants in the order of legends and panels: the known ones first."""
    known = list(_PENS)
    return sorted(variants, key=lambda name: (known.index(name) if name in known else 99, name))


def shade(position: int, count: int) -> tuple[float, ...]:
    """A color of an ordered family such as noise levels: light first, dark last, also in gray."""
    return colormaps["viridis"](0.85 * (1 - position / max(count - 1, 1)))


def context() -> AbstractContextManager[None]:
    """Fonts, lines and grids; figures are made and saved inside."""
    return matplotlib.rc_context(_SETTINGS)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure in inches, whose parts keep clear of each other."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> list[Path]:
    """Writes ``name.png``, ``name.svg`` and ``name.npz`` with the arrays that are drawn."""
    with context():
        contents = {
            folder / f"{name}.png": _png(figure),
            folder / f"{name}.svg": _svg(figure),
            folder / f"{name}.npz": _archive(arrays),
        }
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        write_atomically(path, content)
    return list(contents)


# The canvases are asked directly, since `Figure.savefig` draws everything twice.


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    figure.set_layout_engine("none")  # laid out by now, and the same for the other format
    return stream.getvalue()


def _svg(figure: Figure) -> bytes:
    stream = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()
