"""What every contender is asked to do: one model on one data set, with one optimizer."""

from dataclasses import dataclass, replace
from pathlib import Path

#: Batches that the contenders go through in turn; making them is not part of any measurement.
BATCHES = 16

#: Of samples. At 1, models of this recipe overflow after a few hundred steps, all of them.
TEMPERATURE = 0.7


@dataclass(frozen=True)
class Workload:
    """A GLOW and its training: affine coupling, actnorm, learned 1x1 convolutions; Adam.

    Attributes:
      size: height and width of the 8-bit color images, in pixels.
      batch: images per step, and per call of encode and sample.
      width: hidden channels of the coupling nets.
    """

    name: str
    depth: int
    batch: int
    size: int = 32
    levels: int = 3
    width: int = 128
    learning_rate: float = 1e-3
    dataset: str = "photos"
    seed: int = 0

    @property
    def nominal_flops(self) -> int:
        """Of training on one image, for everybody: three forward passes of the coupling nets.

        A multiplication and an addition are two. The rest of the model adds 1 %; what a contender
        computes twice is its own affair.
        """
        return 3 * 2 * sum(self._multiply_adds(level) for level in range(self.levels))

    def _multiply_adds(self, level: int) -> int:
        channels, side = 12 * 2**level, self.size // 2 ** (level + 1)
        weights = 9 * (channels // 2) * self.width + self.width**2 + 9 * self.width * channels
        return side**2 * self.depth * weights

    def quick(self) -> "Workload":
        """The same in so small that every part of the benchmark runs within seconds."""
        return replace(self, depth=self.depth // 4, batch=4, size=8, levels=2, width=8)

    def save_batches(self, folder: Path) -> Path:
        """Writes the batches, uint8 `(step, image, height, width, channel)`, for all contenders.

        From a file they cost every contender the same, and none has to import the data sets.
        """
        import numpy as np

        from flowjax_glow.data import load

        source = load(self.dataset, size=self.size)
        batches = [
            source.batch("train", seed=self.seed, step=step, size=self.batch)
            for step in range(BATCHES)
        ]
        path = folder / f"{self.name}.npy"
        np.save(path, np.stack(batches))
        return path


#: `shallow` is `deep` with the depth of `small`: beside it, `deep` shows what depth alone costs.
WORKLOADS = {
    work.name: work
    for work in (
        Workload("small", depth=8, batch=32),
        Workload("deep", depth=32, batch=16),
        Workload("shallow", depth=8, batch=16),
    )
}
