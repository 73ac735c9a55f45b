"""The arrays of a state in the terms of a layout, each taken by its name once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flowjax_glow.errors import expected
from flowjax_glow.interop.layouts import LU, Layout

#: Names that an error quotes.
_SHOWN = 4


@dataclass
class Reading:
    """Arrays by name, in float64, and which of them were taken.

    Attributes:
        where: what errors call the state.
        layout: of the state.
        arrays: by name.
        taken: the names asked for so far.
    """

    where: str
    layout: Layout
    arrays: Mapping[str, np.ndarray]
    taken: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def take(self, name: str, what: str) -> np.ndarray:
        """The array of that name.

        Raises:
            ValueError: if there is none, with what is known of why.
        """
        if name not in self.arrays:
            never = name.endswith(self.layout.never_saved) if self.layout.never_saved else False
            raise expected(
                f"{self.where}: {name}",
                what,
                got="none, since the code never saves it with the state" if never else "none",
                advice=(
                    "save it from the running model into an .npz file under this name, and name "
                    "that file with --more; without it the model is lost"
                    if never
                    else "check the layout"
                ),
            )
        self.taken.add(name)
        return np.asarray(self.arrays[name], np.float64)

    def matrix(self, prefix: str) -> np.ndarray | None:
        """W with ``z = x W`` in float64, dense or multiplied out; None if there is none."""
        layout = self.layout
        if prefix + layout.dense in self:
            weight = np.squeeze(self.take(prefix + layout.dense, "a matrix"))
            return weight if layout.transposed else weight.T
        parts = layout.lu
        if parts is None or prefix + parts.lower not in self:
            return None
        return self._multiplied_out(prefix, parts).T

    def _multiplied_out(self, prefix: str, parts: LU) -> np.ndarray:
        permutation = self.take(prefix + parts.permutation, "the permutation of an LU form")
        sign = self.take(prefix + parts.sign, "the signs of an LU form")
        lower = np.tril(self.take(prefix + parts.lower, "a matrix"), -1)
        upper = np.triu(self.take(prefix + parts.upper, "a matrix"), 1)
        diagonal = sign * np.exp(self.take(prefix + parts.log, "the diagonal of an LU form"))
        return permutation @ (lower + np.eye(len(lower))) @ (upper + np.diag(diagonal))

    def check_started(self) -> None:
        """Raises if an actnorm has not seen data yet: the code would start it anew."""
        flags = [name for name in self.arrays if name.endswith(self.layout.flags or ("\0",))]
        self.taken.update(flags)
        if waiting := [name for name in flags if not np.all(self.arrays[name])]:
            raise expected(
                f"{self.where}",
                "actnorms that have started",
                got=f"{waiting[0]} = 0",
                advice="pass a batch through the model before saving it",
            )

    def check_all_taken(self) -> None:
        """Raises if the state has arrays that the layout has no place for."""
        left = [
            name
            for name in self.arrays
            if name not in self.taken and not name.endswith(self.layout.unused or ("\0",))
        ]
        if left:
            raise expected(
                f"{self.where}",
                "no arrays but those of the layout",
                got=some(left),
                advice="what they do would be left out; a model with them cannot be taken over",
            )


def some(names: Iterable[str]) -> str:
    """A few of the names, and how many there are."""
    known = sorted(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def step_names(layout: Layout, names: Iterable[str]) -> list[list[str]]:
    """What names of steps begin with: of every level, finest first, in the order of encoding."""
    pattern = re.escape(layout.step + layout.norm[0])
    for place in ("level", "step", "place"):
        pattern = pattern.replace(re.escape(f"{{{place}}}"), r"(\d+)")
    found = sorted(
        tuple(map(int, match.groups())) for name in names if (match := re.fullmatch(pattern, name))
    )
    levels: dict[int, list[str]] = {}
    for index, numbers in enumerate(found):
        if len(numbers) == 2:
            level, step = numbers
            fields = {"level": level, "step": step}
        else:  # the steps of a level have neighboring places in the list
            level = numbers[0] - index
            fields = {"place": numbers[0]}
        levels.setdefault(level, []).append(layout.step.format(**fields))
    ordered = list(levels.values())
    return [level[::-1] for level in ordered[::-1]] if layout.backwards else ordered
