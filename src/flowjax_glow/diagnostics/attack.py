"""Search for points where the inverse fails: by gradients of surrogates, and by chance.

Where an inverse is healthy, the gradient of its round-trip error is rounding noise, so following it
shows nothing. Surrogates are climbed as well: the gain of the inverse, the smallest scale, the
largest activation. A search that finds nothing is evidence only beside those, and beside points
drawn at random from the same region, as many of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import bin_midpoints, sample_latents
from flowjax_glow.diagnostics.linear import PerExample, noise_like, norm, normalized, products
from flowjax_glow.diagnostics.result import Result, worst
from flowjax_glow.diagnostics.round_trip import latent_round_trip
from flowjax_glow.errors import check_choice
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Image, Latents, LogDet, Params, Pixels
from flowjax_glow.walk import CarriesScale, flatten_records, walk_inverse

Region = Literal["cube", "ball"]

STEPS = 20

#: Radius of the latent ball in units of ``|z|``.
RADIUS = 0.1


@dataclass(frozen=True, eq=False)
class Attack(Result):
    """What each search found, a row per region and objective.

    Attributes:
        search: region and objective. ``cube`` holds all dequantizations of an image, ``ball`` all
            latents near a sample.
        start: the worst error of the points it started from, ``|z - z'| / |z|``.
        found: the worst error after climbing the objective.
        by_chance: the worst error of as many random points.
        objective: the objective's mean gain from start to end, in its own unit, mostly nats.
        largest: the largest activation of the inverse at the points found.
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
    """
    names = tuple(OBJECTIVES) if objectives is None else tuple(objectives)
    for name in names:
        check_choice("attack.objectives", name, tuple(OBJECTIVES))
    flow = with_memory(flow, "store")
    start_key, key = jax.random.split(jax.random.key(seed))
    x = bin_midpoints(jnp.asarray(images), n_bits=n_bits)
    z = sample_latents(flow, params, start_key, x.shape, temperature=temperature)
    rows = []
    for region, start, size in (("cube", x, 0.5 / 2**n_bits), ("ball", z, radius)):
        for name in names:
            found = _search(flow, params, start, key, size, region, name, steps)
            errors = [worst(found[part]) for part in ("start", "found", "by_chance")]
            climbed = float(np.asarray(found["climbed"]).mean())
            rows.append((f"{region}, {name}", *errors, climbed, worst(found["largest"])))
    return Attack(*(np.array(column) for column in zip(*rows, strict=True)))


@partial(jax.jit, static_argnums=(0, 5, 6, 7))
def _search(
    flow: Bijector,
    params: Params,
    start: Any,
    key: jax.Array,
    size: jax.Array,
    region: Region,
    name: str,
    steps: int,
) -> dict[str, PerExample]:
    def latents(point: Any) -> Latents:
        return flow.forward(params, point)[0] if region == "cube" else point

    def error(point: Any) -> PerExample:
        z = latents(point)
        return latent_round_trip(z, flow.forward(params, flow.inverse(params, z)[0])[0])

    def objective(point: Any) -> PerExample:
        return OBJECTIVES[name](flow, params, latents(point), key)

    inside = partial(_into_cube if region == "cube" else _into_ball, start, size)

    def climb(point: Any, index: jax.Array) -> tuple[Any, None]:
        gradient = jax.grad(lambda p: objective(p).sum())(point)
        direction = (
            jnp.sign(gradient) * size
            if region == "cube"
            else _scaled(normalized(gradient), size * norm(start))
        )
        pace = 0.5 * (1 - index / steps)
        known = jax.tree.map(lambda d: jnp.nan_to_num(d, nan=0.0), direction)
        return inside(jax.tree.map(lambda p, d: p + pace * d, point, known)), None

    def chance(worst: PerExample, key: jax.Array) -> tuple[PerExample, None]:
        noise = noise_like(key, start)
        step = (
            jnp.sign(noise) * jax.random.uniform(key, start.shape) * size
            if region == "cube"
            else _scaled(normalized(noise), size * norm(start))
        )
        drawn = error(inside(jax.tree.map(jnp.add, start, step)))
        return jnp.maximum(worst, drawn), None

    end, _ = jax.lax.scan(climb, start, jnp.arange(steps))
    at_start = error(start)
    by_chance, _ = jax.lax.scan(chance, at_start, jax.random.split(key, steps))
    return {
        "start": at_start,
        "found": error(end),
        "by_chance": by_chance,
        "climbed": objective(end) - objective(start),
        "largest": jnp.exp(_largest_activation(flow, params, latents(end), key)),
    }


def _scaled(tree: Any, factor: PerExample) -> Any:
    return jax.tree.map(lambda a: a * factor.reshape(-1, *[1] * (a.ndim - 1)), tree)


def _into_cube(start: Image, size: jax.Array, point: Image) -> Image:
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

    def seen(bijector: Bijector, own: Params, z: Latents, x: Image) -> PerExample:
        if not isinstance(bijector, CarriesScale):
            return jnp.full(x.shape[0], -jnp.inf)
        return -bijector.log_scale(own, z).min(tuple(range(1, x.ndim)))

    return _worst_layer(flow, params, z, seen)


def _largest_activation(flow: Bijector, params: Params, z: Latents, key: jax.Array) -> PerExample:
    """Log of the largest activation."""
    del key

    def seen(bijector: Bijector, own: Params, z: Latents, x: Image) -> PerExample:
        return jnp.log(jnp.abs(x).max(tuple(range(1, x.ndim))))

    return _worst_layer(flow, params, z, seen)


def _worst_layer(flow: Bijector, params: Params, z: Latents, seen: Callable) -> PerExample:
    def visit(
        bijector: Bijector, own: Params, z: Latents, x: Image, log_det: LogDet
    ) -> tuple[Image, PerExample]:
        return x, seen(bijector, own, z, x)

    records = walk_inverse(flow, params, z, visit)[2]
    return jnp.stack([record for _, _, record in flatten_records(flow, records)]).max(0)


#: What a search climbs: ``(flow, params, z, key)`` to a number per example.
OBJECTIVES: dict[str, Callable[[Bijector, Params, Latents, jax.Array], PerExample]] = {
    "round trip": _round_trip_error,
    "gain": _inverse_gain,
    "smallest scale": _smallest_scale,
    "largest activation": _largest_activation,
}
