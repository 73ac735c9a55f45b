"""FrEIA: its all-in-one blocks, which come closest to GLOW's step and are not the same.

Channels are mixed by random rotations that never learn, and its actnorm does not look at data.
"""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from FrEIA import framework, modules

from benchmarks.contenders.torch_flow import TorchContender, TorchFlow, coupling_net
from benchmarks.workloads import TEMPERATURE, Workload


def build(work: Workload, batches: np.ndarray) -> TorchContender:
    """Blocks on several scales over a standard normal."""
    return TorchContender(_flow, work, batches)


def _flow(work: Workload) -> TorchFlow:
    net = _graph(work)

    def sample(net: Any, count: int) -> torch.Tensor:
        noise = [TEMPERATURE * torch.randn(count, *shape) for shape in net.global_out_shapes]
        (images,), _ = net(noise, rev=True, jac=False)
        return images

    return TorchFlow(net, _log_prob, encode=lambda net, x: net(x, jac=False)[0], sample=sample)


def _log_prob(net: Any, x: torch.Tensor) -> torch.Tensor:
    latents, log_det = net(x)
    squares = sum(z.square().flatten(1).sum(1) for z in latents)
    return log_det - 0.5 * (squares + x[0].numel() * math.log(2 * math.pi))


def _graph(work: Workload) -> framework.GraphINN:
    """Squeeze, blocks and split per level; the last does not split."""
    block = {
        "subnet_constructor": partial(coupling_net, width=work.width),
        "permute_soft": True,  # rotations instead of permutations
    }
    nodes: list[Any] = [framework.InputNode(3, work.size, work.size)]
    outputs, last = [], nodes[0]
    for level in range(work.levels):
        for module, options in [
            (modules.IRevNetDownsampling, {}),
            *[(modules.AllInOneBlock, block)] * work.depth,
        ]:
            nodes.append(framework.Node(last, module, options))
            last = nodes[-1]
        if level < work.levels - 1:
            nodes.append(framework.Node(last, modules.Split, {}))
            outputs.append(framework.OutputNode(nodes[-1].out1))
            last = nodes[-1].out0
    outputs.append(framework.OutputNode(last))
    return framework.GraphINN([*nodes, *outputs], force_tuple_output=True)
