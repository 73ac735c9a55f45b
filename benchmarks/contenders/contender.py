"""What a contender can do. Each call ends when its result is there, so that it can be timed."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Contender(Protocol):
    """A model that was just built for a workload, and its batches."""

    @property
    def parameters(self) -> int:
        """The numbers that train."""
        ...

    def train(self) -> float:
        """One step on the next batch; its loss in bits/dim."""
        ...

    def encode(self) -> Sequence[np.ndarray]:
        """The latents of the next batch. The first call keeps a copy of the parameters as they
        are by then, prepared for inference; later steps do not change what is encoded."""
        ...

    def sample(self) -> Sequence[np.ndarray]:
        """A batch of images from fresh noise, with the parameters that `encode` uses."""
        ...

    def facts(self) -> dict[str, Any]:
        """What is counted and not timed: at least `parameters`."""
        ...
