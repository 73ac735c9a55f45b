"""Sheets of pictures: all of them, or without those that look like others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from flowjax_glow import plotting

#: Pictures whose pixels differ by less look the same: a step of 8 bits.
_STEP = 1 / 255

_ALL = "The file with _full in its name has all pictures."


@dataclass(frozen=True)
class Sheet:
    """Pictures (rows, columns, h, w, c), the names of rows and columns, and captions."""

    images: np.ndarray
    rows: list[str]
    columns: list[str]
    captions: list[list[str]]

    def draw(self, title: str, below: float) -> Figure:
        """A figure with the sheet, and an empty subfigure as many inches high below it."""
        captions = self.captions if any(map(any, self.captions)) else None
        figure, axes = plotting.figure_with_mosaic(
            self.images.shape, below, captions=bool(captions)
        )
        figure.subfigs[0].suptitle(title)
        plotting.mosaic(axes, self.images, self.rows, self.columns, captions)
        return figure

    def reduced(self) -> tuple["Sheet", str]:
        """The sheet without rows and columns that look like an earlier one, and what to say."""
        rows = _first_alike(self.images)
        columns = _first_alike(self.images.swapaxes(0, 1))
        said = _left_out(self.columns, columns) + _left_out(self.rows, rows)
        sheet = self._only(list(dict.fromkeys(rows)), list(dict.fromkeys(columns)))
        lying = len(sheet.columns) == 1
        return (sheet._turned() if lying else sheet), said and f"{said} {_ALL}"

    def _only(self, rows: Sequence[int], columns: Sequence[int]) -> "Sheet":
        return Sheet(
            self.images[np.ix_(rows, columns)],
            [self.rows[row] for row in rows],
            [self.columns[column] for column in columns],
            [[self.captions[row][column] for column in columns] for row in rows],
        )

    def _turned(self) -> "Sheet":
        captions = [list(column) for column in zip(*self.captions)]
        return Sheet(self.images.swapaxes(0, 1), self.columns, self.rows, captions)


def _first_alike(pictures: np.ndarray) -> list[int]:
    """For every entry of the leading axis the first one that looks the same."""
    found: list[int] = []
    visible = plotting.show(pictures)
    for index, entry in enumerate(visible):
        alike = (i for i in dict.fromkeys(found) if np.abs(visible[i] - entry).max() < _STEP)
        found.append(next(alike, index))
    return found


def _left_out(names: Sequence[str], alike: Sequence[int]) -> str:
    """A sentence for every name that stands for others."""
    said = ""
    names = [name.replace("\n", " ") for name in names]
    for first in dict.fromkeys(alike):
        others = [names[i] for i, each in enumerate(alike) if each == first and i != first]
        if others:
            pictures = ", ".join(others)
            said += f" The pictures of {pictures} are left out, since no pixel differs from "
            said += f"{names[first]} by 1/255."
    return said
