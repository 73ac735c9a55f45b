"""Does our GLOW learn as well as another? It trains beside PyTorch's normflows on the same batches.

```sh
python -m benchmarks.learning_parity train ours --output ours.json
python -m benchmarks.learning_parity train normflows --output normflows.json
python -m benchmarks.learning_parity compare ours.json normflows.json
```

`compare` exits with 1 if our held-out bits/dim lie more than `MARGIN` above the other's.
docs/learning.md has the results, and says what the two models share and where they differ.
"""

import argparse
import dataclasses
import importlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.contenders.ours import openai_glow
from flowjax_glow.config import glow
from flowjax_glow.data import Images, Source, load
from flowjax_glow.density import bits_per_dim
from flowjax_glow.errors import expected
from flowjax_glow.pixels import dequantize
from flowjax_glow.training import (
    OptimizerConfig,
    data_mesh,
    evaluate,
    initial_state,
    make_optimizer,
    make_train_step,
    shard_batch,
)

MARGIN = 0.1  # bits/dim
WINDOW = 30  # steps whose losses are averaged, as in the metrics of a run
INIT_IMAGES = 256


@dataclass(frozen=True)
class Workload:
    """What both are asked to learn. Bits/dim are of 8 bits a channel."""

    seed: int = 0
    steps: int = 203
    held_out: int = 512
    dataset: str = "photos"
    size: int = 32
    batch: int = 32
    levels: int = 3
    depth: int = 8
    width: int = 128
    learning_rate: float = 1e-3

    def source(self) -> Source:
        """The data set."""
        return load(self.dataset, size=self.size)

    def batches(self) -> Iterator[Images]:
        """The batch of each step, uint8 NHWC."""
        source = self.source()
        for step in range(self.steps):
            yield source.batch("train", seed=self.seed, step=step, size=self.batch)

    def held_out_batches(self) -> list[Images]:
        """The test examples, in batches of the same size."""
        examples = self.source().examples("test", self.held_out)
        return [examples[i : i + self.batch] for i in range(0, self.held_out, self.batch)]


@dataclass(frozen=True)
class Result:
    """What a training run measured.

    Attributes:
      losses: bits/dim of each step's batch.
      held_out: mean bits/dim of the test examples after the last step.
    """

    model: str
    versions: dict[str, str]
    workload: Workload
    losses: list[float]
    held_out: float
    seconds: float

    def windows(self) -> list[float]:
        """Mean losses of `WINDOW` steps each; the last one may be shorter."""
        starts = range(0, len(self.losses), WINDOW)
        return [float(np.mean(self.losses[start : start + WINDOW])) for start in starts]

    def save(self, path: Path) -> None:
        """Writes JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)) + "\n")

    @staticmethod
    def load(path: Path) -> "Result":
        """Reads what `save` wrote."""
        fields = json.loads(path.read_text())
        return Result(**{**fields, "workload": Workload(**fields["workload"])})


def report(losses: Iterator[float]) -> list[float]:
    """The losses as a list, with a line of progress per window."""
    seen: list[float] = []
    for loss in losses:
        seen.append(loss)
        if len(seen) % WINDOW == 0:
            print(f"step {len(seen)}: {np.mean(seen[-WINDOW:]):.3f} bits/dim", flush=True)
    return seen


def train_ours(work: Workload) -> tuple[list[float], float]:
    """Losses and held-out bits/dim of our GLOW, wired as in openai/glow."""
    flow = glow(openai_glow(work.levels, work.depth, work.width, "remat"))
    loss = partial(bits_per_dim, flow)
    mesh = data_mesh(jax.devices()[:1])
    optimizer = make_optimizer(OptimizerConfig("adam", work.learning_rate), work.steps)
    init_key, noise_key, train_key, test_key = jax.random.split(jax.random.key(work.seed), 4)
    # Steps draw batches 0, 1, ... of the seed; this one belongs to a seed that no run has.
    images = work.source().batch("train", seed=2**31 + work.seed, step=0, size=INIT_IMAGES)
    params = jax.jit(flow.init)(init_key, dequantize(noise_key, images))
    state = initial_state(params, optimizer, train_key)
    step = make_train_step(
        lambda params, key, images: loss(params, key, images).mean(), optimizer, mesh, ema_decay=0.0
    )

    def losses() -> Iterator[float]:
        nonlocal state
        for images in work.batches():
            state, metrics = step(state, shard_batch(mesh, images))
            yield float(metrics["loss"])

    trained = report(losses())
    return trained, evaluate(loss, state.params, test_key, work.held_out_batches(), mesh=mesh)


def train_normflows(work: Workload, **net: bool) -> tuple[list[float], float]:
    """Losses and held-out bits/dim of normflows' GLOW.

    Args:
      net: options of its `GlowBlock`.
    """
    torch, normflows = peer("torch"), peer("benchmarks.contenders.normflows")
    torch.manual_seed(work.seed)
    model = normflows.normflows_glow(
        size=work.size, levels=work.levels, depth=work.depth, width=work.width, **net
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=work.learning_rate)

    def loss(images: Images) -> Any:
        """Mean bits/dim; dequantized into [0, 1) as in its own example."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        x = (pixels + torch.rand(pixels.shape)) / 256
        return model.forward_kld(x) / (math.log(2) * x[0].numel()) + 8

    def losses() -> Iterator[float]:
        for images in work.batches():
            optimizer.zero_grad()
            batch_loss = loss(images)
            batch_loss.backward()
            optimizer.step()
            yield batch_loss.item()

    trained = report(losses())
    with torch.no_grad():
        total = sum(len(images) * loss(images).item() for images in work.held_out_batches())
    return trained, total / work.held_out


def peer(package: str) -> Any:
    """A module that needs a package which this comparison needs and the project does not."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise expected(
            "learning_parity",
            "torch and normflows",
            got=f"no {error.name}",
            advice="pip install torch normflows",
        ) from error


Train = Callable[[Workload], tuple[list[float], float]]

#: How each model is trained, and the packages whose versions its result depends on.
MODELS: dict[str, tuple[Train, tuple[str, ...]]] = {
    "ours": (train_ours, ("jax", "optax")),
    # the same net and the same form of the 1x1 convolution as ours
    "normflows": (
        partial(train_normflows, net_actnorm=True, use_lu=False),
        ("torch", "normflows"),
    ),
    # what its GlowBlock is without being told: no actnorm in the net, 1x1 convolutions as LU
    "normflows-default": (train_normflows, ("torch", "normflows")),
}


def train(model: str, work: Workload) -> Result:
    """Trains one of `MODELS`."""
    run, packages = MODELS[model]
    start = time.perf_counter()
    losses, held_out = run(work)
    seconds = time.perf_counter() - start
    versions = {package: version(package) for package in packages}
    return Result(model, versions, work, losses, held_out, seconds)


def comparison(ours: Result, other: Result) -> str:
    """A table of both, with the difference in every row.

    Raises:
      ValueError: if they were not given the same workload.
    """
    if ours.workload != other.workload:
        raise expected(
            "compare",
            "two results of the same workload",
            got=f"{ours.workload} and {other.workload}",
            advice="train both with the same options",
        )
    rows = [
        (f"steps {WINDOW * i + 1} to {min(WINDOW * (i + 1), len(ours.losses))}", *window)
        for i, window in enumerate(zip(ours.windows(), other.windows()))
    ]
    rows.append(("held out", ours.held_out, other.held_out))
    return "\n".join(
        [
            f"{'bits/dim':<18}{ours.model:>12}{other.model:>20}{'difference':>12}",
            *(f"{name:<18}{a:>12.3f}{b:>20.3f}{a - b:>+12.3f}" for name, a, b in rows),
        ]
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    trains = commands.add_parser("train", help="train a model and measure it")
    trains.add_argument("model", choices=MODELS)
    trains.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    for name in ("seed", "steps", "held_out"):
        default = getattr(Workload, name)
        trains.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    compares = commands.add_parser("compare", help="show two results side by side")
    compares.add_argument("ours", type=Path)
    compares.add_argument("other", type=Path)
    return parser.parse_args()


def main() -> None:
    """Runs the command."""
    options = arguments()
    if options.command == "train":
        work = Workload(seed=options.seed, steps=options.steps, held_out=options.held_out)
        result = train(options.model, work)
        result.save(options.output)
        print(f"held out: {result.held_out:.3f} bits/dim, {result.seconds:.0f} s")
        return
    ours, other = Result.load(options.ours), Result.load(options.other)
    print(comparison(ours, other))
    sys.exit(ours.held_out - other.held_out > MARGIN)


if __name__ == "__main__":
    main()
