"""Labels beside points, so that none lies on another or on a point."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

#: In points: the size of letters, and half the side of a marker.
_SIZE, _MARKER = 7.0, 3.5

#: Where a label may stand: the side of its point, and how far away in points.
_SIDES = [(1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1)]
_FAR = (5.0, 12.0, 20.0, 30.0)


def label_points(
    axes: Axes,
    points: np.ndarray,
    labels: Sequence[str],
    colors: Sequence[str],
    lines: np.ndarray,
) -> None:
    """Writes each label where it covers least; call it once the axes have limits and a place.

    Args:
        axes: with the points.
        points: (points, 2), in data coordinates; every one is kept clear.
        labels: of the points, empty for none.
        colors: of the labels.
        lines: (lines, 4), x and y of their low ends, then of their high ends; better kept clear.
    """
    transform = axes.transData.transform
    scale = np.array(72 / axes.figure.dpi)
    centers = scale * transform(points)
    solid = [np.array([*(center - _MARKER), *(center + _MARKER)]) for center in centers]
    faint = scale * np.hstack([transform(lines[:, :2]), transform(lines[:, 2:])])
    faint = faint + np.array([-0.5, -0.5, 0.5, 0.5])
    inside = scale * axes.bbox.extents
    for center, label, color in zip(centers, labels, colors):
        if label:
            boxes = [_box(center, label, side, far) for far in _FAR for side in _SIDES]
            costs = [_cost(box, center, np.array(solid), faint, inside) for box in boxes]
            box = boxes[int(np.argmin(costs))]
            solid.append(box)
            _write(axes, label, color, center, box)


def _box(center: np.ndarray, label: str, side: tuple[int, int], far: float) -> np.ndarray:
    """Left, lower, right and upper end of a label, in points."""
    half = np.array([0.31 * _SIZE * len(label), 0.5 * _SIZE])
    middle = center + np.array(side) * (half + far - np.abs(side[1]) * np.array([0, 2.0]))
    return np.array([*(middle - half), *(middle + half)])


def _cost(
    box: np.ndarray, center: np.ndarray, solid: np.ndarray, faint: np.ndarray, inside: np.ndarray
) -> float:
    outside = _area(box) - _shared(box, inside[None]).sum()
    distance = np.linalg.norm(_nearest(box, center) - center)
    covered = 100 * (outside + _shared(box, solid).sum())
    return float(covered + _shared(box, faint).sum() + distance)


def _area(box: np.ndarray) -> float:
    return float(np.prod(box[2:] - box[:2]))


def _shared(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The areas that a box shares with others."""
    low = np.maximum(box[:2], others[:, :2])
    return np.clip(np.minimum(box[2:], others[:, 2:]) - low, 0, None).prod(1)


def _nearest(box: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.clip(point, box[:2], box[2:])


def _write(axes: Axes, label: str, color: str, center: np.ndarray, box: np.ndarray) -> None:
    """The label, and a thin line to its point where it stands away from it."""
    offset = (box[:2] + box[2:]) / 2 - center
    away = np.linalg.norm(_nearest(box, center) - center) > _FAR[1]
    line = {"arrowstyle": "-", "color": "#888888", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
    text = axes.annotate(
        label,
        tuple(axes.transData.inverted().transform(center * axes.figure.dpi / 72)),
        xytext=tuple(offset),
        textcoords="offset points",
        fontsize=_SIZE,
        color=color,
        ha="center",
        va="center",
        arrowprops=line if away else None,
    )
    text.set_in_layout(False)
