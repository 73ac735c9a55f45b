"""What finite differences tell of a function that has no derivatives: gains and log-dets."""

from collections.abc import Callable

import numpy as np

#: A function of rows of float64.
Rows = Callable[[np.ndarray], np.ndarray]


def gain(
    function: Rows, rounded: Rows, points: np.ndarray, ways: np.ndarray, step: float
) -> np.ndarray:
    """``|f(p + h v) - f(p - h v)| / |2 h v|`` for each point p, infinite where not finite.

    A slope between two points, so up to rounding a lower bound of the largest gain between them.

    Args:
        rounded: what the function sees of a row.
        ways: a direction v for each point; where it is zero or not finite the gain is 0.
        step: ``|h v|`` over the norm of the point, or over a tenth of the usual norm.
    """
    with np.errstate(all="ignore"):
        size, length = (np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ways, points))
        known = np.isfinite(size) & (size > 0) & np.isfinite(length)
        usual = np.median(length[known]) if known.any() else 1.0
        way = np.where(known, ways / size, 0.0)
        move = step * way * np.maximum(length, 0.1 * usual or 1.0)
        ends = [rounded(points + move), rounded(points - move)]
        up, down = (function(end) for end in ends)
        slope = np.linalg.norm(up - down, axis=1) / np.linalg.norm(ends[0] - ends[1], axis=1)
    return np.where(known[:, 0], np.where(np.isfinite(slope), slope, np.inf), 0.0)


def jacobian_log_det(
    function: Rows, rounded: Rows, point: np.ndarray, step: float
) -> tuple[float, float]:
    """``log|det df/dp|`` at a point by central differences, and how far step sizes are apart.

    Of steps h and 2 h, and of Richardson's combination of both, which is the one returned.
    """
    usual = float(np.abs(point).mean()) or 1.0
    ways = np.diag(step * np.maximum(np.abs(point), usual))

    def slopes(times: float) -> np.ndarray:
        up, down = rounded(point + times * ways), rounded(point - times * ways)
        return (function(up) - function(down)) / np.diag(up - down)[:, None]

    with np.errstate(all="ignore"):
        near, far = slopes(1.0), slopes(2.0)
        found = [_log_det(matrix) for matrix in ((4 * near - far) / 3, near, far)]
    return found[0], max(found) - min(found) if np.isfinite(found).all() else np.inf


def _log_det(matrix: np.ndarray) -> float:
    return float(np.linalg.slogdet(matrix)[1]) if np.isfinite(matrix).all() else np.nan
