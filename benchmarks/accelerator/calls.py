"""The phases of all calls, in full and tiny."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accelerator import models
from benchmarks.accelerator.call import Phase
from benchmarks.accelerator.fast import Fast, Row, form_rows, more_rows, rows
from benchmarks.accelerator.models import Size
from benchmarks.accelerator.pictures import Once, cifar10, faces
from benchmarks.accelerator.right import Right
from benchmarks.accelerator.study import Plan
from benchmarks.accelerator.trials import LostPermutations, Trials
from benchmarks.workloads import Workload
from flowjax_glow.config import GlowConfig


@dataclass(frozen=True)
class Sizes:
    """Of everything.

    Attributes:
      larger: of `fast`, what gets ready while models train.
      forms: convolutions in two forms.
      side: of faces and of CIFAR-10 images, in pixels.
      author, remedy, permuted, cifar: how models are trained in each phase.
    """

    right: Right
    fast: Fast
    larger: Fast
    forms: Fast
    face_side: int
    face_model: Size
    author: Plan
    remedy: Plan
    permuted: Plan
    cifar_side: int
    cifar_model: Size
    cifar: Plan


_AUTHOR = Plan(steps=5400, batch=16, looks=(100, 200, 400, 800, 1600, 2700))

_FAST = Fast(
    Workload("cifar10", depth=32, batch=64, width=512), rows(64), seconds=1.0, peak_size=8192
)

FULL = Sizes(
    right=Right(GlowConfig(levels=2, depth=8, width=64), size=16, batch=32),
    fast=_FAST,
    larger=replace(_FAST, rows=more_rows(64, 256)),
    forms=replace(_FAST, rows=form_rows(64, 256), seconds=0.7),
    face_side=64,
    face_model=Size(levels=4, depth=32, width=512),
    author=_AUTHOR,
    remedy=replace(_AUTHOR, steps=2000, looks=(100, 200, 400, 800, 1600)),
    permuted=replace(_AUTHOR, steps=800, looks=()),
    cifar_side=32,
    cifar_model=Size(levels=3, depth=32, width=512),
    # as many steps as fit
    cifar=Plan(steps=100_000, batch=64, looks=(100, 200, 400, 800, 1600), n_bits=8, clip_norm=None),
)

_TINY = Plan(steps=4, batch=4, looks=(2,), held_out=8, samples=8, chunk=8, warmup_steps=1)

_TINY_FAST = Fast(
    Workload("tiny", depth=1, batch=4, size=8, levels=1, width=8),
    (Row("ours-store", 4, "default", measures=("train", "sample")),),
    seconds=0.02,
    peak_size=64,
    rounds=1,
)

TINY = Sizes(
    right=Right(GlowConfig(levels=1, depth=2, width=8), size=8, batch=4, nets=("float32",)),
    fast=_TINY_FAST,
    larger=replace(_TINY_FAST, rows=(Row("normflows", 4, measures=("train", "sample")),)),
    forms=replace(_TINY_FAST, rows=(Row("ours-store", 4, "lax", kernels=True),)),
    face_side=8,
    face_model=Size(levels=2, depth=2, width=8),
    author=_TINY,
    remedy=_TINY,
    permuted=replace(_TINY, looks=()),
    cifar_side=8,
    cifar_model=Size(levels=2, depth=2, width=8),
    cifar=replace(_TINY, n_bits=8, clip_norm=None),
)


def call_a(data: Path, sizes: Sizes) -> list[Phase]:
    """Right, fast, the author's model, the rest of fast, remedies, Figure 5."""
    author, remedies, figure5 = _on_faces(
        data, sizes, {"author": 150, "remedies": 115, "figure5": 55}
    )
    return [
        Phase("right", 100, sizes.right.prepare, sizes.right.run),
        Phase("fast", 70, sizes.fast.prepare, sizes.fast.run, quiet=True),
        author,
        Phase("larger", 40, sizes.larger.prepare, sizes.larger.run, quiet=True),
        remedies,
        figure5,
    ]


def call_c(data: Path, sizes: Sizes) -> list[Phase]:
    """The author's model, its remedies and Figure 5 of call A at the author's own learning rate."""
    seconds = {"author-slow": 200, "remedies-slow": 220, "figure5-slow": 110}
    return _on_faces(data, sizes, seconds, learning_rate=1e-4)


def _on_faces(
    data: Path, sizes: Sizes, seconds: Mapping[str, float], **changes: Any
) -> list[Phase]:
    """The author's model, its remedies and Figure 5, by their names; `changes` are to all plans."""
    source = Once(partial(faces, data, sizes.face_side))
    model, plan = sizes.face_model, partial(replace, **changes)
    parts = (
        Trials({"control": (partial(models.author, model), plan(sizes.author))}, source),
        Trials(
            {
                name: (partial(models.author, model, **remedy), plan(sizes.remedy))
                for name, remedy in models.REMEDIES.items()
            },
            source,
        ),
        LostPermutations(
            partial(models.author, model, permutation="every_step"), plan(sizes.permuted), source
        ),
    )
    return [
        Phase(name, own, part.prepare, part.run)
        for (name, own), part in zip(seconds.items(), parts, strict=True)
    ]


def call_b(data: Path, sizes: Sizes) -> list[Phase]:
    """CIFAR-10: the control and our remedy, with and without a warm-up."""
    plans = {"": sizes.cifar, "-no-warmup": replace(sizes.cifar, warmup_steps=0)}
    flows = {"control": {}, "damped": models.REMEDIES["damped"]}
    trials = Trials(
        {
            f"{name}{suffix}": (partial(models.usual, sizes.cifar_model, **changes), plan)
            for suffix, plan in plans.items()
            for name, changes in flows.items()
        },
        Once(partial(cifar10, data, sizes.cifar_side)),
    )
    return [Phase("cifar", 220, trials.prepare, trials.run)]


def call_d(data: Path, sizes: Sizes) -> list[Phase]:
    """What a step does on the device, convolutions as matrix products and as XLA's own."""
    del data
    return [Phase("forms", 165, sizes.forms.prepare, sizes.forms.run, quiet=True)]


CALLS = {"A": call_a, "B": call_b, "C": call_c, "D": call_d}
