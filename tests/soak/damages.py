"""Every kind of damage to the newest checkpoint: the run goes on from the one before."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flowjax_glow.runs.run import run
from flowjax_glow.training import Progress, Screen
from tests.soak.attempts import differences
from tests.soak.runs import example, saving
from tests.training.test_checkpoints import DAMAGE


@dataclass
class Damages:
    """How many kinds were survived, and what was wrong with the others."""

    kinds: int = len(DAMAGE)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kinds - len(self.faults)} of {self.kinds} kinds of damage survived: one "
            "warning, and a run bit-identical to an uninterrupted one"
        )


def soak(place: Path) -> Damages:
    """Damages the newest checkpoint of a run, once for each kind, and goes on with it."""
    experiment, whole, told = saving(4, width=64), place / "whole", Damages()
    run(experiment, whole, show=_nowhere)
    for kind, (damage, reason) in DAMAGE.items():
        folder = Path(shutil.copytree(whole, place / kind))
        (folder / "summary.json").unlink()
        damage(folder / "checkpoints/4")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(experiment, folder, show=_nowhere)
        said = [str(each.message) for each in caught]
        wrong = differences(folder, whole, example(experiment))
        if len(said) != 1 or reason not in said[0]:
            wrong.append(f"said {said}")
        if wrong:
            told.faults.append(f"{kind}: {'; '.join(wrong)}")
    return told


@contextmanager
def _nowhere(total: int, label: str) -> Iterator[Progress]:
    del label
    yield Progress(total, Screen())
