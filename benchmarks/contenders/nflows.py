"""nflows has transforms and no GLOW: this composes one of them."""

from functools import partial
from typing import Any

import numpy as np
import torch
from nflows import transforms
from nflows.distributions import StandardNormal
from nflows.flows import Flow

from benchmarks.contenders.torch_flow import (
    TorchContender,
    TorchFlow,
    compile_methods,
    coupling_net,
)
from benchmarks.workloads import TEMPERATURE, Workload


def build(work: Workload, batches: np.ndarray, *, compiled: bool = False) -> TorchContender:
    """A GLOW over a standard normal; with `compiled`, its couplings are compiled by PyTorch."""
    return TorchContender(partial(_flow, compiled=compiled), work, batches)


def _flow(work: Workload, *, compiled: bool) -> TorchFlow:
    dimensions = 3 * work.size**2
    flow = Flow(_transform(work), StandardNormal([dimensions]))
    if compiled:
        kind = transforms.AffineCouplingTransform
        compile_methods((part for part in flow.modules() if isinstance(part, kind)), "forward")
    return TorchFlow(
        flow,
        log_prob=lambda flow, x: flow.log_prob(x),
        encode=lambda flow, x: [flow.transform_to_noise(x)],
        sample=lambda flow, count: flow._transform.inverse(
            TEMPERATURE * torch.randn(count, dimensions)
        )[0],
    )


def _transform(work: Workload) -> transforms.Transform:
    levels = transforms.MultiscaleCompositeTransform(work.levels)
    shape: Any = (3, work.size, work.size)
    for _ in range(work.levels):
        squeeze = transforms.SqueezeTransform()
        shape = squeeze.get_output_shape(*shape)
        steps = [step for _ in range(work.depth) for step in _step(shape[0], work.width)]
        shape = levels.add_transform(transforms.CompositeTransform([squeeze, *steps]), shape)
    return levels


def _step(channels: int, width: int) -> tuple[transforms.Transform, ...]:
    """Actnorm, 1x1 convolution, affine coupling by sigmoid(h + 2), its default."""
    # The half that stays at the next split is the one that the net reads.
    mask = [1] * (channels // 2) + [0] * (channels // 2)
    return (
        transforms.ActNorm(channels),
        # For inference it keeps the matrix and its inverse; in training this changes nothing.
        transforms.OneByOneConvolution(channels, using_cache=True),
        transforms.AffineCouplingTransform(mask, lambda i, o: _Net(coupling_net(i, o, width))),
    )


class _Net(torch.nn.Module):
    """A net that takes the context that nflows passes to every net."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
        return self.net(x)
