"""Search for points where the inverse fails: by gradients of surrogates, and by chance.

Where an inverse is healthy, the gradient of its round-trip error is rounding noise, so following it
shows nothing. Surrogates are climbed as well: the gain of the inverse, the smallest scale, the
largest activation. A search that finds nothing is evidence only beside those, and beside points
drawn at random from the same region, as many of them. A climb may pass a bad point and leave it
again, so what counts is the worst point on its way, its start and its end included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.linear import noise_like, norm, normalized, products
from flowjax_glow.diagnostics.round_trips import latent_round_trip
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.trace import Observation, only_observe
from flowjax_glow.errors import check_choice
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Event, Latents, Params, PerExample, Pixels
from flowjax_glow.walk import flatten_records, walk_inverse

Region = Literal["cube", "ball"]

STEPS = 20

#: Radius of the latent ball in units of ``|z|``.
RADIUS = 0.1


@dataclass(frozen=True, eq=False)
class Attack(Result):
    """What each search found, a row per region and objective.

    From every start a search visits ``steps + 1`` points, the start among them, and so does chance,
    which draws anew for every row. (A search takes a gradient at each of its points as well.)

    Attributes:
        search: region and objective. ``cube`` holds all dequantizations of an image, ``ball`` all
            latents near a sample.
        start: the worst error of the points it started from, ``|z - z'| / |z|``.
        found: the worst error at any point of the climbs.
        by_chance: the worst error of the start and of ``steps`` random points; those of the ball
            lie on its surface.
        objective: how far the objective rose from the start to its largest value on the climb, the
            median of the examples where that is finite, in its own unit, mostly nats; NaN where
            there are none.
        largest: the largest activation of the inverse at any point of the climbs.
    """

    title = "Searches for points that do not come back"

    search: np.ndarray
    start: np.ndarray
    found: np.ndarray
    by_chance: np.ndarray
    objective: np.ndarray
    largest: np.ndarray


def attack(
    flow: Bijector,
    params: Params,
    images: Pixels,
    *,
    n_bits: int = 8,
    objectives: Sequence[str] | None = None,
    steps: int = STEPS,
    radius: float = RADIUS,
    temperature: float = 1.0,
    seed: int = 0,
) -> Attack:
    """Climbs each objective from the images' bin midpoints, and from as many samples.

    Args:
        objectives: names in `OBJECTIVES`; None for all.
        radius: of the latent ball, in units of ``|z|``.
        temperature: of the samples.

    Raises:
        ValueError: if an objective is unknown, the images are not uint8, or `n_bits` is not 1 to 8.
    """
    names = tuple(OBJECTIVES) if objectives is None else tuple(objectives)
    for name in names:
        check_choice("attack.objectives", name, tuple(OBJECTIVES))
    flow = with_memory(flow, "store")
    start_key, key = jax.random.split(jax.random.key(seed))
    x = bin_midpoints(jnp.asarray(images), n_bits=n_bits)
    z = sample_latents(flow, params, start_key, x.shape, temperature=temperature)
    rows = []
    regions: tuple[tuple[Region, Any, float], ...] = (
        ("cube", x, 0.5 / 2**n_bits),
        ("ball", z, radius),
    )
    for region, start, size in regions:
        around = _Around(flow, region, params, start, jnp.asarray(size))
        for name, own_key in zip(names, jax.random.split(key, len(names)), strict=True):
            at_start, by_chance = _by_chance(around, own_key, steps)
            found = _search(around, key, name, steps)
            # the start is one of its points, rounded otherwise in another program
            reached = jnp.maximum(found["error"], at_start)
            errors = (worst(at_start), worst(reached), worst(by_chance))
            climbed = np.asarray(found["climbed"])
            climbed = climbed[np.isfinite(climbed)]
            gained = float(np.median(climbed)) if climbed.size else float("nan")
            rows.append((f"{region}, {name}", *errors, gained, worst(found["largest"])))
    return Attack(*(np.array(column) for column in zip(*rows, strict=True)))


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("params", "start", "size"),
    meta_fields=("flow", "region"),
)
@dataclass(frozen=True)
class _Around:
    """What is searched: all images within `size` of `start`, or all latents."""

    flow: Bijector
    region: Region
    params: Params
    start: Any
    size: jax.Array

    def latents(self, point: Any) -> Latents:
        """Those of a point of the region."""
        return self.flow.forward(self.params, point)[0] if self.region == "cube" else point

    def error(self, point: Any) -> PerExample:
        """Of the round trip of a point's latents."""
        z = self.latents(point)
        back, _ = self.flow.forward(self.params, self.flow.inverse(self.params, z)[0])
        return latent_round_trip(z, back)

    def across(self, direction: Any) -> Any:
        """A step along `direction` from the middle of the region to its edge."""
        if self.region == "cube":
            return jnp.sign(direction) * self.size
        return _scaled(normalized(direction), self.size * norm(self.start))

    def inside(self, point: Any) -> Any:
        """The nearest point in the region."""
        return (_into_cube if self.region == "cube" else _into_ball)(self.start, self.size, point)


@partial(jax.jit, static_argnums=(2, 3))
def _search(around: _Around, key: jax.Array, name: str, steps: int) -> dict[str, PerExample]:
    """The extremes over all points of the climbs of one objective."""
    flow, params = around.flow, around.params

    def objective(point: Any) -> PerExample:
        return OBJECTIVES[name](flow, params, around.latents(point), key)

    def summed(point: Any) -> tuple[jax.Array, PerExample]:
        values = objective(point)
        return values.sum(), values

    def climb(point: Any, index: jax.Array) -> tuple[Any, tuple[PerExample, ...]]:
        gradient, values = jax.grad(summed, has_aux=True)(point)
        largest = _largest_activation(flow, params, around.latents(point), key)
        pace = 0.5 * (1 - index / steps)
        step = jax.tree.map(lambda d: jnp.nan_to_num(d, nan=0.0), around.across(gradient))
        moved = jax.tree.map(lambda p, d: p + pace * d, point, step)
        return around.inside(moved), (around.error(point), values, largest)

    # the move from the last point, of pace 0, is not made
    _, (errors, values, largest) = jax.lax.scan(climb, around.start, jnp.arange(steps + 1))
    return {
        "error": errors.max(0),
        "climbed": jnp.nanmax(values, 0) - values[0],
        "largest": jnp.exp(largest.max(0)),
    }


@partial(jax.jit, static_argnums=2)
def _by_chance(around: _Around, key: jax.Array, steps: int) -> tuple[PerExample, PerExample]:
    """The errors at the start, and the largest among as many random points as a search visits."""

    def draw(worst: PerExample, key: jax.Array) -> tuple[PerExample, None]:
        step = around.across(noise_like(key, around.start))
        if around.region == "cube":
            step = step * jax.random.uniform(key, around.start.shape)
        drawn = around.error(around.inside(jax.tree.map(jnp.add, around.start, step)))
        return jnp.maximum(worst, drawn), None

    at_start = around.error(around.start)
    return at_start, jax.lax.scan(draw, at_start, jax.random.split(key, steps))[0]


def _scaled(tree: Any, factor: PerExample) -> Any:
    return jax.tree.map(lambda a: a * factor.reshape(-1, *[1] * (a.ndim - 1)), tree)


def _into_cube(start: Event, size: jax.Array, point: Event) -> Event:
    """The nearest point whose values stay in their bins."""
    return jnp.clip(point, start - 0.999 * size, start + 0.999 * size)


def _into_ball(start: Latents, size: jax.Array, point: Latents) -> Latents:
    """The nearest point within `size` times ``|start|``."""
    step = jax.tree.map(jnp.subtract, point, start)
    length, limit = norm(step), size * norm(start)
    factor = jnp.minimum(1.0, limit / jnp.where(length > 0, length, 1.0))
    return jax.tree.map(jnp.add, start, _scaled(step, factor))


def _round_trip_error(flow: Bijector, params: Params, z: Latents, key: jax.Array) -> PerExample:
    """Log of the squared error of ``F(F^-1(z))``."""
    del key
    back, _ = flow.forward(params, flow.inverse(params, z)[0])
    return 2 * jnp.log(norm(jax.tree.map(jnp.subtract, back, z)) + 1e-30)


def _inverse_gain(flow: Bijector, params: Params, z: Latents, key: jax.Array) -> PerExample:
    """Log of the stretch of the inverse in a direction that one round of power iteration found."""
    push, pull = products(lambda z: flow.inverse(params, z)[0], z)
    v = normalized(pull(normalized(push(normalized(noise_like(key, z))))))
    return jnp.log(norm(push(jax.lax.stop_gradient(v))) + 1e-30)


def _smallest_scale(flow: Bijector, params: Params, z: Latents, key: jax.Array) -> PerExample:
    """Minus the smallest log s."""
    del key

    def seen(layer: Observation) -> PerExample:
        if layer.min_log_scale is None:
            return jnp.full_like(layer.largest, -jnp.inf)
        return -layer.min_log_scale

    return _worst_layer(flow, params, z, seen)


def _largest_activation(flow: Bijector, params: Params, z: Latents, key: jax.Array) -> PerExample:
    """Log of the largest activation."""
    del key
    return _worst_layer(flow, params, z, lambda layer: jnp.log(layer.largest))


def _worst_layer(
    flow: Bijector, params: Params, z: Latents, seen: Callable[[Observation], PerExample]
) -> PerExample:
    records = walk_inverse(flow, params, z, only_observe)[2]
    return jnp.stack([seen(layer) for _, _, layer in flatten_records(flow, records)]).max(0)


#: What a search climbs: ``(flow, params, z, key)`` to a number per example.
OBJECTIVES: dict[str, Callable[[Bijector, Params, Latents, jax.Array], PerExample]] = {
    "round trip": _round_trip_error,
    "gain": _inverse_gain,
    "smallest scale": _smallest_scale,
    "largest activation": _largest_activation,
}
