"""Figures: their look, how they are saved, and small images as one mosaic."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from flowjax_glow.files import write_atomically

#: Width of a figure in inches: the text of a page.
WIDTH = 7.0

#: What is not finite, in pictures; no photograph has it.
MAGENTA = (1.0, 0.0, 1.0)

#: A picture of a mosaic takes no more inches than this, with the gap beside it.
_WIDEST = 0.85

#: Sizes of letters in points: of a caption under a picture, of labels, of the note.
_CAPTION, _LABEL, _NOTE = 6.0, 8.0, 7.5

_SETTINGS: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.titlesize": 10,
    "figure.labelsize": 9,
    "xtick.labelsize": _LABEL,
    "ytick.labelsize": _LABEL,
    "legend.fontsize": _LABEL,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
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


def show(images: np.ndarray) -> np.ndarray:
    """Images around zero as RGB in [0, 1], clipped; pixels that are not finite are magenta."""
    finite = np.isfinite(images).all(-1, keepdims=True)
    visible = np.clip(np.where(finite, images, 0.0), -0.5, 0.5) + 0.5
    return np.where(finite, visible, MAGENTA)  # the three colors make gray images RGB too


def count_not_finite(image: np.ndarray) -> int:
    """How many pixels of an image have a value that is not finite."""
    return int((~np.isfinite(image)).any(-1).sum())


def block(images: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Images (count, h, w, c) as one image, `columns` beside each other.

    Between them `gap` pixels are left white, as `show` shows images around zero.
    """
    apart = np.pad(images, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=0.5)
    count, height, width, channels = apart.shape
    grid = apart.reshape(count // columns, columns, height, width, channels)
    joined = grid.swapaxes(1, 2).reshape(-1, columns * width, channels)
    return joined[: len(joined) - gap, : columns * width - gap]


def mosaic(
    axes: Axes,
    images: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
) -> None:
    """Draws images (rows, columns, h, w, c), labelled, with a caption under each."""
    height, width = images.shape[2:4]
    gap_x = max(2, width // 8)
    gap_y = max(3, round(0.28 * height)) if captions else gap_x
    tops = np.arange(len(rows)) * (height + gap_y)
    lefts = np.arange(len(columns)) * (width + gap_x)
    below = gap_y if captions else 0
    canvas = np.ones((tops[-1] + height + below, lefts[-1] + width, 3))
    for row, top in zip(show(images), tops):
        for image, left in zip(row, lefts):
            canvas[top : top + height, left : left + width] = image
    axes.imshow(canvas, interpolation="nearest", interpolation_stage="data")
    letters = letters_in(_cell(len(columns)), _LABEL)
    axes.set_yticks(tops + height / 2 - 0.5, [narrow(row) for row in rows])
    axes.set_xticks(lefts + width / 2 - 0.5, [narrow(each, letters) for each in columns])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for top, texts in zip(tops, captions or ()):
        for left, text in zip(lefts, texts):
            axes.text(
                left + width / 2 - 0.5,
                top + height - 0.5 + 0.12 * gap_y,
                text,
                fontsize=_CAPTION,
                ha="center",
                va="top",
            )


def narrow(label: str, letters: int = 13) -> str:
    """A label broken at spaces and hyphens, so that long names leave room for others."""
    lines = label.split("\n")
    return "\n".join(textwrap.fill(line, letters, break_long_words=False) for line in lines)


def letters_in(inches: float, size: float) -> int:
    """How many letters of that size in points fit beside each other."""
    return max(1, int(72 * inches / (0.55 * size)))


def mosaic_height(rows: int, columns: int, aspect: float = 1.0, *, captions: bool = False) -> float:
    """The height in inches of a mosaic as wide as the page; `aspect` is height over width."""
    return rows * _cell(columns) * aspect * (1.15 if captions else 1.0) + 0.3


def _cell(columns: int) -> float:
    """The width in inches of a picture of a mosaic, with the gap beside it."""
    return min((WIDTH - 1.1) / columns, _WIDEST)


def figure_with_mosaic(
    shape: Sequence[int], below: float, *, captions: bool
) -> tuple[Figure, Axes]:
    """A figure of two subfigures: one with axes for a mosaic, and an empty one below.

    Args:
        shape: (rows, columns, height, width, channels) of the mosaic.
        below: the height in inches of the lower subfigure.
        captions: whether the pictures have any.
    """
    above = mosaic_height(shape[0], shape[1], shape[2] / shape[3], captions=captions) + 0.35
    figure = new_figure(above + below)
    figure.subfigures(2, 1, height_ratios=[above, below])
    return figure, figure.subfigs[0].subplots()


def note(figure: Figure | SubFigure, text: str) -> None:
    """Small print below all panels."""
    columns = letters_in(figure.bbox.width / figure.dpi, _NOTE)
    text = textwrap.fill(text, columns)
    figure.supxlabel(text, fontsize=_NOTE, x=0.01, ha="left", color="#444444")


def legend(figure: Figure | SubFigure, handles: Sequence[Line2D], labels: Sequence[str]) -> None:
    """Draws a legend above all panels: in one line where it fits, else in lines of like length."""
    room = letters_in(figure.bbox.width / figure.dpi, _LABEL)
    widths = [len(label) + 8 for label in labels]  # with the line, and the gap to the next
    fit = [n for n in range(1, len(widths) + 1) if _width(widths, n) <= room]
    lines = math.ceil(len(labels) / max(fit, default=1))
    columns = math.ceil(len(labels) / lines)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.2)


def _width(widths: Sequence[int], columns: int) -> int:
    """Of entries in columns, filled one after the other."""
    return sum(int(column.max()) for column in np.array_split(widths, columns))
