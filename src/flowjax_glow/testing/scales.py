"""The laws of a scale."""

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.scales import Scale
from flowjax_glow.testing.laws import equal, hold

#: Raw outputs of a net that a scale is tried on: ordinary ones, and as large as they get.
_RAW = np.concatenate([np.linspace(-1e4, 1e4, 2001), np.linspace(-20, 20, 2001)])


def check_scale(scale: Scale) -> None:
    """Holds a scale to the laws of `Scale`, in float32.

    ``log s`` and its gradient are finite for raw numbers from -1e4 to 1e4, it rises, `value` and
    `reciprocal` are ``exp(log s)`` and ``exp(-log s)``, and `log_bounds` hold; `log_slope` and
    `reciprocal_slope` are not exceeded.

    >>> from flowjax_glow import Bounded
    >>> check_scale(Bounded())

    Raises:
        LawError: naming the first law that does not hold, and by how much.
    """
    raw = jnp.asarray(np.sort(_RAW), jnp.float32)
    log_s, pull = jax.vjp(scale.log, raw)
    (slope,) = pull(jnp.ones_like(raw))
    log_s, slope, step = (np.asarray(v, np.float64) for v in (log_s, slope, jnp.diff(raw)))
    equal("log s for raw numbers up to 1e4", bool(np.isfinite(log_s).all()), True)
    equal("a gradient of log s that is finite", bool(np.isfinite(slope).all()), True)
    rounding = 1e-6 * (1 + np.abs(log_s))
    hold("how far log s falls", np.max(-np.diff(log_s) - rounding[1:]), 0.0)

    near = np.abs(log_s) < 30  # beyond, rounding of log s counts for more
    for name, sign in (("value", 1), ("reciprocal", -1)):
        got = np.asarray(getattr(scale, name)(raw), np.float64)[near]
        off = np.abs(got / np.exp(sign * log_s[near]) - 1).max(initial=0.0)
        hold(f"{name} against the exponential of log s", off, 1e-5)

    lower, upper = scale.log_bounds
    hold("how far log s is below log_bounds", np.max(lower - log_s - rounding), 0.0)
    hold("how far log s is above log_bounds", np.max(log_s - upper - rounding), 0.0)
    hold("the slope of log s", slope.max(), scale.log_slope * (1 + 1e-5))
    with np.errstate(over="ignore", invalid="ignore"):
        falls = -np.diff(np.exp(-log_s)) / np.where(step > 0, step, np.inf)
    hold("the slope of 1/s", falls[np.isfinite(falls)].max(), scale.reciprocal_slope * 1.01 + 1e-9)
