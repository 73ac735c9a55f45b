"""The one form of complaint about a caller's mistake."""

import math

import jax.numpy as jnp
from jaxtyping import Array


def expected(where: str, what: str, *, got: object, advice: str) -> ValueError:
    """Builds (does not raise) ``<where>: expected <what>, got <got>; <advice>``."""
    return ValueError(f"{where}: expected {what}, got {got}; {advice}")


def how_to_install(extras: str) -> str:
    """The commands that bring the packages of extras, given with commas."""
    return f"in a clone pip install '.[{extras}]', from a file pip install 'FILE.whl[{extras}]'"


def missing_package(module: str) -> str:
    """What to do about an optional package that is not there, in a line."""
    return (
        f"flowjax-glow: expected the packages of the extra `experiments`, got no {module}; install "
        f"them: {how_to_install('experiments')}"
    )


def check_choice(where: str, value: object, choices: tuple[object, ...]) -> None:
    """Raises if `value` is none of `choices`."""
    if value not in choices:
        names = ", ".join(map(str, choices))
        raise expected(where, f"one of {names}", got=repr(value), advice="choose one of these")


def check_positive(where: str, value: float) -> None:
    """Raises unless `value` is above zero and finite."""
    if not 0 < value < math.inf:
        advice = "choose a finite one" if value > 0 else "choose a larger one"
        raise expected(where, "a number above 0", got=value, advice=advice)


def check_count(where: str, value: object) -> None:
    """Raises unless `value` is a whole number above zero."""
    if not isinstance(value, int) or value < 1:
        raise expected(where, "a whole number above 0", got=repr(value), advice="choose one")


def check_seed(where: str, value: object) -> None:
    """Raises unless `value` is a whole number that random keys tell apart from all others."""
    if not isinstance(value, int) or not 0 <= value < 2**32:
        raise expected(
            where, "a whole number from 0 and below 2^32", got=repr(value), advice="choose one"
        )


def check_floating(where: str, x: Array) -> None:
    """Raises unless `x` holds floating-point numbers."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise expected(
            where,
            "floating-point numbers",
            got=x.dtype,
            advice="turn uint8 images into floats with pixels.dequantize",
        )


def check_channels(where: str, x: Array, channels: int) -> None:
    """Raises unless `x` has as many channels as the parameters."""
    if x.shape[-1] != channels:
        raise expected(
            where,
            f"{channels} channels as in the parameters",
            got=x.shape[-1],
            advice="initialize the parameters with inputs of this shape",
        )


def check_image(where: str, x: Array) -> None:
    """Raises unless `x` is a float NHWC batch."""
    if x.ndim != 4:
        raise expected(
            where,
            "a batch of images (batch, height, width, channels)",
            got=f"shape {x.shape}",
            advice="add the missing axes, x[None] for a single image",
        )
    check_event(where, x)


def check_event(where: str, x: Array, *, min_channels: int = 1) -> None:
    """Raises unless `x` is a float batch ``(batch, ..., channels)`` of at least `min_channels`."""
    if x.ndim < 2:
        raise expected(
            where,
            "a batch of events (batch, ..., channels)",
            got=f"shape {x.shape}",
            advice="add the missing axes, x[None] for a single event, x[:, None] for numbers",
        )
    check_floating(where, x)
    if jnp.finfo(x.dtype).bits < 32:
        raise expected(
            where,
            "float32 or float64",
            got=x.dtype,
            advice="cast to float32: what is inverted must keep its digits",
        )
    if x.shape[-1] < min_channels:
        raise expected(
            where,
            f"at least {min_channels} channels",
            got=x.shape[-1],
            advice="squeeze images first, and give vectors more numbers",
        )
