"""Runs made up for the tests of the verdicts: healthy unless told otherwise."""

from pathlib import Path

import numpy as np

from flowjax_glow.runs.experiment import CLIPS, TAUS
from flowjax_glow.runs.results import Run

SAMPLES, IMAGES, CLIP_IMAGES = 1024, 512, 128
SEEDS = (0, 1, 2)


def tails(one=0.5, low=0.5, zero=None):
    """The 1e-3 quantile of s per tau, from tau = 1 to 0.1 on a straight line of log s, and at 0."""
    taus = np.array(TAUS)
    slope = (np.log(one) - np.log(low)) / 0.9
    values = np.exp(np.log(one) + slope * (taus - 1.0))
    values[-1] = values[-2] * (0.99 if low < one else 1.01) if zero is None else zero
    return values


def look(hits=0, broken=0, inexact=0, tail=None, at=0, own=(0.5, 0.5)):
    """A look with that many bad samples (at noise level `TAUS[at]`) and images.

    `own` is the outliers' s with all noise at tau = 1, and with one split's at 0.1.
    """
    activation = np.full((len(TAUS), SAMPLES), 5.0, np.float32)
    activation[at, :hits] = np.inf
    error = np.full((len(TAUS), SAMPLES), 1e-5, np.float32)
    error[at, :broken] = np.inf
    quantiles = np.ones((1, len(TAUS) + 1, 4))
    quantiles[0, :-1, 1] = tails() if tail is None else tail
    return {
        "taus": np.array(TAUS),
        "max_activation": activation,
        "z_error": error,
        "bit_exact": np.arange(IMAGES) >= inexact,
        "s_quantiles": quantiles,
        "s_below": np.zeros((1, len(TAUS) + 1, 2)),
        "own_tail": np.array([own]),
        "own_min": np.array([own]) / 2,
        "own_border": np.array([[0.5, 0.5]]),
        "own_channel": np.array([[0.2, 0.2]]),
    }


def clipping(zero_max=2.5, zero_gap=0.0, image_hits=0, errors=1e-6, redrawn=None):
    """A clipping; `zero_gap` parts the z = 0 images of successive clips, `errors` are per clip.

    So are `redrawn`, those with other permutations.
    """
    images = np.zeros((len(CLIPS), 4, 4, 3), np.float32)
    images += zero_gap * np.arange(len(CLIPS))[:, None, None, None]
    hit = np.zeros((len(CLIPS), CLIP_IMAGES), bool)
    hit[:, :image_hits] = True
    return {
        "clips": np.array(CLIPS),
        "zero_max": np.array([1.0, zero_max, 2.0], np.float32),
        "zero_images": images,
        "reconstruction_hit": hit,
        "reconstruction_error": np.broadcast_to(errors, (CLIP_IMAGES, len(CLIPS))).T,
    } | ({} if redrawn is None else {"redrawn_error": _draws(redrawn)})


def _draws(errors):
    return np.broadcast_to(np.broadcast_to(errors, (CLIP_IMAGES, len(CLIPS))).T, (3, 9, 128))


def shifted(seed, shift):
    """Ten window losses that fall, all by `shift` higher."""
    return [3.0 - 0.1 * window + 0.01 * seed + shift for window in range(10)]


def run(
    variant="control", seed=0, *, losses=None, status="done", looks=None, clips=None, before=None
):
    """A run of ten windows, healthy where nothing is given."""
    losses = (
        [3.0 - 0.1 * window + 0.01 * seed for window in range(10)] if losses is None else losses
    )
    rows = [
        {"step": 30 * window, "window_loss": loss, "window": 30}
        for window, loss in enumerate(losses, start=1)
    ]
    last = 30 * len(losses)
    trained = status == "done"
    return Run(
        folder=Path(f"{variant}-seed{seed}"),
        variant=variant,
        seed=seed,
        status=status,
        config={},
        metrics=({"step": 1, "loss": 5.0}, *rows),
        looks={0: look()} | ({last: looks or look()} if trained else {}),
        clippings={0: before or clipping()} | ({last: clips or clipping()} if trained else {}),
        summary={"status": status, "bits_per_dim": losses[-1]}
        if status in ("done", "diverged")
        else None,
    )


def runs(variant="control", seeds=SEEDS, shifts=(0.0, 0.0, 0.0), **parts):
    """A run per seed; `shifts` are added to the losses, `parts` may be lists of one per seed."""
    return [
        run(
            variant,
            seed,
            losses=shifted(seed, shifts[index]),
            **{
                name: part[index] if isinstance(part, list) else part
                for name, part in parts.items()
            },
        )
        for index, seed in enumerate(seeds)
    ]
