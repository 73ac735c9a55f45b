"""normflows: its own GLOW blocks and per-channel bases."""

from functools import partial
from typing import Any

import normflows as nf
import numpy as np

from benchmarks.contenders.torch_flow import TorchContender, TorchFlow, compile_methods
from benchmarks.workloads import TEMPERATURE, Workload


def build(work: Workload, batches: np.ndarray, *, compiled: bool = False) -> TorchContender:
    """Its GLOW with the defaults of its blocks; with `compiled`, couplings and 1x1 convolutions are
    compiled by PyTorch, which cannot do so with its actnorms: these look at a flag at every call.
    """
    return TorchContender(partial(_flow, compiled=compiled), work, batches)


def _flow(work: Workload, *, compiled: bool) -> TorchFlow:
    glow = normflows_glow(size=work.size, levels=work.levels, depth=work.depth, width=work.width)
    if compiled:
        kinds = (nf.flows.AffineCouplingBlock, nf.flows.Invertible1x1Conv)
        compile_methods((part for part in glow.modules() if isinstance(part, kinds)), "inverse")
    return TorchFlow(
        glow,
        log_prob=lambda model, x: model.log_prob(x, None),
        encode=lambda model, x: model.inverse_and_log_det(x)[0],
        sample=lambda model, count: model.sample(count, temperature=TEMPERATURE)[0],
    )


def normflows_glow(*, size: int, levels: int, depth: int, width: int, **net: bool) -> Any:
    """Its GLOW, listed as it generates: coarsest level first, a squeeze last in each.

    Args:
      net: options of its `GlowBlock`.
    """
    bases, blocks = [], []
    for finer in reversed(range(levels)):
        channels, side = 12 * 2**finer, size // 2 ** (finer + 1)
        steps = [
            nf.flows.GlowBlock(channels, width, scale_map="sigmoid", **net) for _ in range(depth)
        ]
        blocks.append([*steps, nf.flows.Squeeze()])
        leaves = channels if finer == levels - 1 else channels // 2
        bases.append(nf.distributions.GlowBase((leaves, side, side)))
    merges = [nf.flows.Merge() for _ in range(levels - 1)]
    return nf.MultiscaleFlow(bases, blocks, merges, class_cond=False)
