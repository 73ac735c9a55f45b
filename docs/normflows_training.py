"""Trains a GLOW of normflows without a warm-up, and saves its state; for docs/import.md.

pip install ".[experiments]" torch normflows    # in a clone
python docs/normflows_training.py broken.pt
"""

import math
import sys
import time

import normflows as nf
import torch

from flowjax_glow.data import load

SIZE, BITS, LEVELS, DEPTH, WIDTH = 16, 5, 2, 32, 64
STEPS, BATCH, RATE = 200, 16, 1e-3


def built() -> nf.MultiscaleFlow:
    """As it generates: the coarsest level first, and a squeeze at the end of each."""
    bases, levels = [], []
    for finer in reversed(range(LEVELS)):
        channels, side = 12 * 2**finer, SIZE // 2 ** (finer + 1)
        steps = [nf.flows.GlowBlock(channels, WIDTH, net_actnorm=True) for _ in range(DEPTH)]
        levels.append([*steps, nf.flows.Squeeze()])
        leaves = channels if finer == LEVELS - 1 else channels // 2
        bases.append(nf.distributions.GlowBase((leaves, side, side)))
    merges = [nf.flows.Merge() for _ in range(LEVELS - 1)]
    return nf.MultiscaleFlow(bases, levels, merges, class_cond=False)


def main(file: str) -> None:
    """Adam at a rate of 1e-3 from the first step on; images in [0, 1), with noise in their bins."""
    torch.manual_seed(0)
    source, model, start = load("photos", size=SIZE), built(), time.perf_counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for step in range(STEPS):
        pixels = torch.from_numpy(source.batch("train", seed=0, step=step, size=BATCH))
        bins = (pixels.permute(0, 3, 1, 2) >> (8 - BITS)).float()
        x = (bins + torch.rand_like(bins)) / 2**BITS
        loss = model.forward_kld(x) / (math.log(2) * x[0].numel()) + BITS
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0 or step == STEPS - 1:
            seconds = time.perf_counter() - start
            print(f"step {step + 1}: {loss.item():.3f} bits/dim, {seconds:.0f} s", flush=True)
    model.save(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
