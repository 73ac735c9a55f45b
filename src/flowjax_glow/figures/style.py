"""One look for all figures: a variant has the same color, dashes and marker in each of them."""

from typing import Any

from matplotlib import colormaps

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
    "soft-clamp-0.125": ("#999933", (0, (1, 1)), "h"),
    "soft-clamp": ("#999933", (0, (4, 1.2, 1, 1.2)), "h"),
    "randomized-bounded": ("#0072B2", (0, (4, 1.2, 1, 1.2)), "v"),
    "randomized-damped": ("#AA3377", (0, (4, 1.2, 1, 1.2)), "*"),
    "per-batch": ("#000000", (0, (1, 1)), "D"),
    "per-batch-bounded": ("#56B4E9", (0, (1, 1)), "v"),
    "per-batch-damped": ("#CC79A7", (0, (1, 1)), "*"),
}
_OTHER = ("#555555", (0, (1, 2)), ".")


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
