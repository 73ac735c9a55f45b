"""Experiments by name: controls that variants change, and the one that is recommended."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from flowjax_glow.config import GlowConfig
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.training import OptimizerConfig


@dataclass(frozen=True)
class Preset:
    """A control experiment, the seeds it is run with by default, and one line about it.

    With `brief` programs are compiled fast rather than well: right where compiling is all the work.
    """

    control: Experiment
    seeds: int
    about: str
    brief: bool = False


#: Fast enough to see that everything works; far too small to judge anything by.
SMOKE = Experiment(
    model=GlowConfig(levels=2, depth=2, width=16),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=10),
    image_size=8,
    batch=16,
    steps=60,
    held_out=64,
    look_every=30,
    look_samples=64,
    final_samples=64,
    clip_samples=64,
    save_every=30,
)

#: Deep rather than large: depth is what makes an inverse break on a laptop (docs/laptop.md).
LAPTOP = Experiment(
    model=GlowConfig(levels=2, depth=32, width=64, memory="remat"),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50),
)

#: openai/glow's wiring under the recipe that breaks other implementations within 27 steps: deep, a
#: high rate from the first step on, nothing clipped. Gradients rest on the inverse, guarded.
NO_WARMUP = Experiment(
    model=GlowConfig(
        levels=3, depth=32, width=64, reads="signal", split_prior="learned", memory="invert"
    ),
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=0),
    image_size=32,
    n_bits=8,
    steps=27,
    held_out=64,
    look_every=27,
    look_samples=64,
    final_samples=256,
    clip_samples=64,
    save_every=27,
    monitor_every=9,
)

#: Small, deep, and at a rate that needs a warm-up and has none: where the search for the cheapest
#: way to break a control starts (experiments.breaking, docs/failures.md). Half a minute a run.
BREAKING = dataclasses.replace(
    LAPTOP,
    model=dataclasses.replace(LAPTOP.model, width=32),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    steps=60,
    final_samples=1024,
    save_every=60,
    monitor_every=10,
)

#: Kingma & Dhariwal's CIFAR-10 run: 8 bits, Adamax, warm-up over ten epochs of 50,000 images.
OPENAI_CIFAR10 = Experiment(
    model=GlowConfig(levels=3, depth=32, width=512, memory="remat"),
    optimizer=OptimizerConfig(name="adamax", learning_rate=1e-3, warmup_steps=7810),
    dataset="tfds:cifar10",
    image_size=32,
    n_bits=8,
    batch=64,
    steps=1_000_000,
    held_out=10_000,  # all of its test images
    look_every=50_000,
    look_samples=250,
    final_samples=10_000,
    clip_samples=250,
    chunk=250,
    save_every=5_000,
    monitor_every=500,
)

#: The paper's data under the recipe of GlowIP, its author's public code (docs/author.md). GlowIP's
#: are size, levels, depth, width and bits; Adam at 1e-4, a linear warm-up over 10,000 updates, the
#: gradient clipped by value and then by norm, the rate halved after 1,000 updates without a lower
#: loss, down to 1e-8; the actnorms started on one batch. Ours are the batch, which is 3 or 6 there
#: by revision and here one that fills a device, the steps and what is measured. The model is the
#: control's: GlowIP's own is `--variant=author`.
PAPER = Experiment(
    model=GlowConfig(levels=4, depth=48, width=512, memory="remat"),
    optimizer=OptimizerConfig(
        learning_rate=1e-4,
        schedule="plateau",
        warmup_steps=10_000,
        clip_value=5.0,
        clip_norm=100.0,
        patience=1_000,
    ),
    dataset="tfds:celeb_a",
    image_size=64,
    n_bits=5,
    batch=64,
    steps=200_000,
    init_images=64,
    held_out=2_048,
    look_every=20_000,
    final_samples=2_048,
    save_every=5_000,
    monitor_every=500,
)

PRESETS: dict[str, Preset] = {
    "smoke": Preset(SMOKE, 1, "everything at once, in under two minutes; judges nothing", True),
    "laptop": Preset(LAPTOP, 3, "16x16 crops at depth 32, two cores, under 30 minutes for `all`"),
    "laptop-8bit": Preset(
        dataclasses.replace(LAPTOP, n_bits=8), 3, "the same with images of 8 bits"
    ),
    "no-warmup": Preset(NO_WARMUP, 3, "27 steps that break an inverse at once, without warm-up"),
    "breaks-samples": Preset(
        dataclasses.replace(
            BREAKING, optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=20)
        ),
        3,
        "half a minute a run: the control loses samples at tau = 1, bounded next to none",
    ),
    "breaks-zero": Preset(
        BREAKING,
        3,
        "the same without a warm-up: the control loses z = 0 in 2 seeds of 3, bounded in none",
    ),
    "breaks-images": Preset(
        dataclasses.replace(
            BREAKING,
            model=dataclasses.replace(BREAKING.model, permutation="every_step"),
            optimizer=OptimizerConfig(learning_rate=3e-3),
            steps=1,
        ),
        3,
        "one step at a high rate: the control loses 98 % of images or more, bounded 0 to 23 %",
    ),
    "openai-cifar10": Preset(OPENAI_CIFAR10, 3, "Kingma & Dhariwal's CIFAR-10 size"),
    "paper": Preset(PAPER, 3, "CelebA 64x64, size and recipe of the author's public code"),
}


#: Of a recommended training, if nothing says otherwise.
STEPS = 2_000


def recommended(shape: Sequence[int], steps: int = STEPS, classes: int = 0) -> Experiment:
    """A training of `GlowConfig.recommended` on images of a shape, (height, width, channels).

    8 bits, batches of 32, Adam at 1e-3 after a warm-up of 100 steps, or of a quarter of fewer.
    """
    every = max(1, steps // 5)
    return Experiment(
        variant="recommended",
        model=GlowConfig.recommended(shape, classes=classes),
        optimizer=OptimizerConfig.recommended(steps),
        image_size=None,
        n_bits=8,
        batch=32,
        steps=steps,
        look_every=every,
        save_every=every,
    )
