"""The training loop that all PyTorch peers share; a peer only says how its flow is called.

They run on a GPU if PyTorch sees one, with products in TF32 as ours have them by default there.
"""

import copy
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from benchmarks.workloads import Workload

#: Steps of a flow that torch.compile may specialize on, more than it allows by default.
_RECOMPILES = 1024


@dataclass(frozen=True)
class TorchFlow:
    """A module, and how to use it or a copy of it.

    Attributes:
      log_prob: nats per image, `(batch,)`.
      encode: the latents of images.
      sample: that many images.
    """

    module: torch.nn.Module
    log_prob: Callable[[Any, torch.Tensor], torch.Tensor]
    encode: Callable[[Any, torch.Tensor], Sequence[torch.Tensor]]
    sample: Callable[[Any, int], torch.Tensor]


class TorchContender:
    """Trains a `TorchFlow` with Adam; encodes and samples with a copy of it."""

    def __init__(
        self, make: Callable[[Workload], TorchFlow], work: Workload, batches: np.ndarray
    ) -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        torch.manual_seed(work.seed)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_default_device(self._device)
        if self._device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
        self._flow = make(work)
        self._flow.module.to(self._device)  # what ignores the default device
        self._work = work
        self._batches = itertools.cycle(batches)
        self._optimizer = torch.optim.Adam(self._flow.module.parameters(), lr=work.learning_rate)

    def train(self) -> float:
        pixels = self._next_pixels()
        x = (pixels + torch.rand(pixels.shape)) / 256 - 0.5
        self._optimizer.zero_grad()
        nats = -self._flow.log_prob(self._flow.module, x).mean()
        loss = nats / (math.log(2) * x[0].numel()) + 8
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def encode(self) -> list[np.ndarray]:
        with torch.no_grad():
            latents = self._flow.encode(self._settled, (self._next_pixels() + 0.5) / 256 - 0.5)
        return [z.cpu().numpy() for z in latents]

    def sample(self) -> list[np.ndarray]:
        with torch.no_grad():
            return [self._flow.sample(self._settled, self._work.batch).cpu().numpy()]

    @property
    def parameters(self) -> int:
        trained = (p for p in self._flow.module.parameters() if p.requires_grad)
        return sum(p.numel() for p in trained)

    def facts(self) -> dict[str, Any]:
        return {"parameters": self.parameters}

    def _next_pixels(self) -> torch.Tensor:
        # A copy, because torch wants arrays that it may write to.
        pixels = torch.from_numpy(next(self._batches).copy()).to(self._device)
        return pixels.permute(0, 3, 1, 2).float()

    @cached_property
    def _settled(self) -> torch.nn.Module:
        """The module as it is at the first use, ready for inference."""
        self._optimizer.zero_grad()
        return copy.deepcopy(self._flow.module).eval()


def compile_methods(modules: Iterable[torch.nn.Module], name: str) -> None:
    """Compiles a method of each module, so that those of one shape share a program: compiling a
    deep flow as a whole takes minutes. For training alone: a copy would call the original."""
    torch._dynamo.config.recompile_limit = _RECOMPILES
    for module in modules:
        setattr(module, name, torch.compile(getattr(module, name)))


def coupling_net(channels_in: int, channels_out: int, width: int) -> torch.nn.Sequential:
    """3x3, ReLU, 1x1, ReLU, 3x3 from zero: GLOW's net, for libraries without one."""
    last = torch.nn.Conv2d(width, channels_out, 3, padding=1)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels_in, width, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(width, width, 1),
        torch.nn.ReLU(),
        last,
    )
