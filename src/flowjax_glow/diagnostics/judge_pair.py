"""Two functions are enough: whether the inverse of any library's flow can be trusted."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowjax_glow.diagnostics.chunks import CHUNK
from flowjax_glow.diagnostics.pair_measurements import Judging
from flowjax_glow.diagnostics.pair_report import Judgement
from flowjax_glow.diagnostics.pairs import paired
from flowjax_glow.diagnostics.rates import LOST_BELOW, drawn_for, enough
from flowjax_glow.diagnostics.thresholds import TAUS
from flowjax_glow.errors import check_count, expected


def judge(
    forward: Callable[[Any], Any],
    inverse: Callable[[Any], Any],
    examples: Any,
    *,
    samples: int | None = None,
    taus: Sequence[float] | None = None,
    lost_below: float = LOST_BELOW,
    draw: Callable[[int, int], Any] | None = None,
    convert: Callable[[Any], Any] | None = None,
    chunk: int = CHUNK,
    seed: int = 0,
    on_part: Callable[[str], Any] | None = None,
) -> Judgement:
    """Measures a flow of which no more is known than two functions, and judges its inverse.

    Examples go to latents and back, standard normal latents to events and back. Grades mean what
    they mean in `stability_report`. Gains are taken by finite differences, so they are lower
    bounds. If both functions take float64, the points that came back worst are tried in it: so an
    inverse that is wrong is told from one that amplifies rounding.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    >>> print(judge(lambda x: 2 * x, lambda z: z / 2, x, taus=(1.0,)).verdict)
    at risk
    >>> found = judge(lambda x: 1.2 * x, lambda z: z / 1.19, x)
    >>> found.verdict, found.reason[:34]
    ('at risk', 'the inverse is not that of forward')

    Args:
        forward: from a batch of events to latents, an array or a tuple, list or dict of arrays; or
            to ``(latents, log_det)``. The second of two values counts as the log-det, in nats, if
            its shape is ``(batch,)``.
        inverse: from latents to events, or to ``(events, log_det)``.
        examples: a batch of floats, held out from training if possible.
        samples: at every noise level, as of `stability_report`.
        taus: factors on the latents that are decoded; by default those of `stability_report`, or
            1 alone with `draw`.
        lost_below: the share of lost samples that `trustworthy` promises to be below.
        draw: latents of another base, ``draw(seed, count)``.
        convert: makes the array that the functions take of a NumPy array, `torch.from_numpy` for
            instance. What they return is read by `numpy.asarray`.
        chunk: examples per call.
        on_part: called with the name of each part before it begins.

    Raises:
        ValueError: if the examples are no batch of finite floats, or a function raises, takes no
            batches, or returns values of another shape.
    """
    x = np.asarray(examples)
    if x.ndim < 2 or not len(x) or not jnp.issubdtype(x.dtype, jnp.floating):
        got = f"{x.dtype} of shape {x.shape}"
        advice = "as forward takes them; uint8 images become floats by division"
        raise expected("judge.examples", "a batch of floats (batch, ...)", got=got, advice=advice)
    if not np.isfinite(x).all():
        raise expected("judge.examples", "finite values", got="NaN or infinity", advice="drop them")
    enough(lost_below)  # complains
    count = drawn_for(lost_below, CHUNK) if samples is None else samples
    check_count("judge.samples", count)
    check_count("judge.chunk", chunk)
    if taus is None:
        taus = TAUS if draw is None else (1.0,)
    if not len(taus) or not all(0 <= tau < np.inf for tau in taus):
        advice = "use (1.0,) for the level of samples"
        raise expected("judge.taus", "noise levels of 0 or more", got=tuple(taus), advice=advice)
    pair = paired(forward, inverse, x, chunk, convert)
    judging = Judging(pair, pair.x.rows(x), draw, seed)
    for name, part in (
        ("examples", judging.examples),
        ("samples", lambda: judging.samples(taus, count)),
        ("worst points", judging.worst_points),
        ("log-dets", judging.log_dets),
    ):
        (on_part or (lambda _: None))(name)
        part()
    return judging.judged(lost_below)
