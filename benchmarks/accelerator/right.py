"""Is the arithmetic right? Round trips, log-dets and gradients, nets in several precisions."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.call import Deadline, Record
from benchmarks.net_precision import perturbed
from flowjax_glow.bijector import Bijector
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.density import log_prob, sample_latents
from flowjax_glow.diagnostics import image_round_trip, latent_round_trip
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.rebuild import with_memory
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Image, Params

#: What nets compute in, and whose tolerance that is held against.
NETS: dict[str, tuple[dict[str, Any], str]] = {
    "float32": ({"net_precision": "highest"}, "float32"),
    "default": ({"net_precision": "default"}, "float32"),
    "bfloat16": ({"net_dtype": "bfloat16", "net_precision": "default"}, "bfloat16-net"),
}


Found = dict[str, Any]


@dataclass(frozen=True)
class Right:
    """One GLOW on perturbed parameters."""

    model: GlowConfig
    size: int
    batch: int
    nets: tuple[str, ...] = tuple(NETS)

    def prepare(self) -> dict[str, Any]:
        """Everything measured: what takes long here is compiling, several programs at a time."""
        random = np.random.default_rng(0)
        shape = (self.batch, self.size, self.size, 3)
        x = jnp.asarray(random.uniform(-0.5, 0.5, shape), jnp.float32)
        flows = {name: glow(replace(self.model, **NETS[name][0])) for name in self.nets}
        exact = glow(self.model)
        params = perturbed(jax.jit(exact.init)(jax.random.key(0), x))
        jobs = [
            *[(f"{name} round trip", _round_trips, flow) for name, flow in flows.items()],
            *[(f"{name} gradients", _gradient_errors, flow) for name, flow in flows.items()],
            ("reference", _against_float64, exact),
        ]
        with ThreadPoolExecutor() as pool:
            names, functions, own = zip(*jobs)
            found = pool.map(lambda measure, flow: _try(measure, flow, params, x), functions, own)
            return dict(zip(names, found))

    def run(self, found: dict[str, Any], record: Record, deadline: Deadline) -> None:
        """Holds what was measured against the tolerances."""
        del deadline
        record.note(
            model=repr(self.model),
            tolerances={name: TOLERANCES[name]._asdict() for name in ("float32", "bfloat16-net")},
            reference=found["reference"],
        )
        for name in self.nets:
            errors, tolerance = found[f"{name} round trip"], NETS[name][1]
            own = {**errors, "tolerance": tolerance, "gradients": found[f"{name} gradients"]}
            if "fault" not in errors:
                limit = TOLERANCES[tolerance]
                values = max(errors["images"], errors["latents"])
                own["holds"] = values < limit.relative and errors["log_dets"] < limit.log_det
            record.note(**{name: own})


def _try(measure: Callable[..., Found], flow: Bijector, params: Params, x: Image) -> Found:
    """What was measured, or the fault, so that the others are not lost with it."""
    try:
        return measure(flow, params, x)
    except Exception as error:
        traceback.print_exc()
        return {"fault": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _round_trips(flow: Bijector, params: Params, x: Image) -> dict[str, float]:
    """Relative errors over the whole batch, as the laws have it, and log-dets per dimension."""

    @jax.jit
    def measure(params: Params, x: Image) -> dict[str, jax.Array]:
        z, log_det = flow.forward(params, x)
        back, inverse_log_det = flow.inverse(params, z)
        noise = sample_latents(flow, params, jax.random.key(1), x.shape)
        again, _ = flow.forward(params, flow.inverse(params, noise)[0])
        return {
            "images": image_round_trip(x, back).relative.max(),
            "latents": latent_round_trip(noise, again).max(),
            "log_dets": jnp.abs(log_det + inverse_log_det).max() / event_size(x),
        }

    return _floats(measure(params, x))


def _gradient_errors(flow: Bijector, params: Params, x: Image) -> dict[str, float]:
    """Of `remat` and `invert`, relative to the gradient with stored activations."""

    def gradient(memory: Any, params: Params, x: Image) -> jax.Array:
        own = with_memory(flow, memory)
        values = trainable(params)
        leaves = jax.grad(lambda v: log_prob(own, merge(params, v), x).mean())(values)
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(leaves)])

    @jax.jit
    def measure(params: Params, x: Image) -> dict[str, jax.Array]:
        exact = gradient("store", params, x)
        return {
            memory: jnp.linalg.norm(gradient(memory, params, x) - exact) / jnp.linalg.norm(exact)
            for memory in ("remat", "invert")
        }

    return _floats(measure(params, x))


def _against_float64(flow: Bijector, params: Params, x: Image) -> dict[str, float]:
    """Latents and log-dets here beside those in float64 on the CPU."""
    here = jax.device_get(jax.jit(flow.forward)(params, x))
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        wide = jax.tree.map(_widened, jax.device_get((params, x)))
        exact = jax.device_get(jax.jit(flow.forward)(*wide))
    (z, log_det), (z64, log_det64) = here, exact
    flat, flat64 = (
        np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (z, z64)
    )
    return {
        "latents": float(np.linalg.norm(flat - flat64) / np.linalg.norm(flat64)),
        "log_dets": float(np.abs(log_det - log_det64).max() / event_size(x)),
    }


def _widened(leaf: np.ndarray) -> jax.Array:
    return jnp.asarray(leaf, jnp.float64 if leaf.dtype == np.float32 else None)


def _floats(found: dict[str, jax.Array]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(found).items()}
