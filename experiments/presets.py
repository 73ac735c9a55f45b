"""An experiment is a frozen dataclass; a preset is a control experiment that variants change."""

import dataclasses
from dataclasses import dataclass, field

from experiments.variants import apply_variant
from flowjax_glow.errors import check_count, check_positive, expected
from flowjax_glow.glow import GlowConfig
from flowjax_glow.training import OptimizerConfig, make_optimizer

#: Noise levels tau at which the inverse is looked at; latents are tau * N(0, I).
TAUS = (1.0, 0.7, 0.5, 0.25, 0.1, 0.0)

#: The paper's limits of the activations, and none.
CLIPS = (10.0, 20.0, 30.0, 40.0, 50.0, 100.0, 500.0, 1000.0, float("inf"))

#: Temperatures of the sample figure (openai/glow's).
TEMPERATURES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


#: Deviation of a nudge, relative to each parameter: about ten roundings of float32.
NUDGE = 1e-6


@dataclass(frozen=True)
class Experiment:
    """One run, whole: the same experiment gives the same bits on the same machine.

    Attributes:
        variant: its name; `model` already has what it changes.
        model: a `GlowConfig`, or a configuration that builds on it, as `GlowIPConfig`.
        seed: of the initial parameters, the data order and the dequantization.
        dataset: as `flowjax_glow.data.load` takes it.
        image_size: side in pixels, None for the data set's own.
        n_bits: of the images.
        batch: images per step, over all devices.
        accumulate: micro-batches per step.
        steps: how long to train; more trains on.
        init_images: in the batch of the data-dependent init.
        held_out: test images for bits/dim and round trips.
        look_every: steps between looks at the inverse; also at the start and the end.
        look_samples: per tau and look.
        final_samples: per tau at the end, since the failure is heavy-tailed.
        clip_samples: samples and images decoded under each clip.
        chunk: images per compiled call of the measurements.
        save_every: steps between checkpoints.
        guard_every: steps between measurements of the drift, under ``memory="invert"``; more often
            at the start.
        watch_every: steps between cheap looks at the inverse, which go into the metrics and warn;
            more often at the start.
        penalty: the weight of `finite_difference_penalty`, of both directions, in the loss.
        nudge: 0, or which of many perturbations at the size of rounding the run starts with: every
            initial float parameter is multiplied by ``1 + NUDGE N(0, 1)``, drawn from that key.
            What starts at zero stays there.
    """

    variant: str = "control"
    seed: int = 0
    model: GlowConfig = field(default_factory=GlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    dataset: str = "photos"
    image_size: int | None = 16
    n_bits: int = 5
    batch: int = 16
    accumulate: int = 1
    steps: int = 400
    init_images: int = 256
    held_out: int = 256
    look_every: int = 100
    look_samples: int = 128
    final_samples: int = 512
    clip_samples: int = 128
    chunk: int = 64
    save_every: int = 100
    guard_every: int = 100
    watch_every: int = 50
    penalty: float = 0.0
    nudge: int = 0

    def __post_init__(self) -> None:
        for name in (
            "batch",
            "accumulate",
            "steps",
            "init_images",
            "held_out",
            "look_every",
            "look_samples",
            "final_samples",
            "clip_samples",
            "chunk",
            "save_every",
            "guard_every",
            "watch_every",
        ):
            check_count(f"Experiment.{name}", getattr(self, name))
        if self.penalty:
            check_positive("Experiment.penalty", self.penalty)
        if self.nudge:
            check_count("Experiment.nudge", self.nudge)
        for name in ("held_out", "look_samples", "final_samples", "clip_samples"):
            if getattr(self, name) % self.chunk:
                raise expected(
                    f"Experiment.{name}",
                    f"a multiple of the chunk of {self.chunk}",
                    got=getattr(self, name),
                    advice="change one of the two",
                )

        make_optimizer(self.optimizer, self.steps)  # complains of a warm-up longer than the run

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.variant}-seed{self.seed}" + (f"-nudge{self.nudge}" if self.nudge else "")

    @property
    def look_steps(self) -> tuple[int, ...]:
        """The steps after which the inverse is looked at."""
        return (*range(0, self.steps, self.look_every), self.steps)

    @property
    def watch_steps(self) -> tuple[int, ...]:
        """The steps after which the inverse is watched."""
        return (*_often_at_first(self.watch_every, self.steps), self.steps)

    @property
    def guard_steps(self) -> tuple[int, ...]:
        """The steps after which the drift is measured: none unless gradients rest on it."""
        if self.model.memory != "invert":
            return ()
        return _often_at_first(self.guard_every, self.steps)


def _often_at_first(every: int, steps: int) -> tuple[int, ...]:
    """0, powers of two up to `every` and then its multiples, below `steps`.

    An inverse may break at the very first step.
    """
    early = [2**power for power in range(every.bit_length())]
    return tuple(sorted({0, *early, *range(every, steps, every)} & set(range(steps))))


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
    watch_every=9,
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
    watch_every=10,
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
    watch_every=500,
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
    watch_every=500,
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


def plan(control: Experiment, variants: list[str], seeds: list[int]) -> list[Experiment]:
    """One experiment per variant and seed, seed by seed: all variants stand after the first."""
    return [
        dataclasses.replace(
            control, variant=variant, seed=seed, model=apply_variant(variant, control.model)
        )
        for seed in seeds
        for variant in variants
    ]
