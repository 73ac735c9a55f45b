r"""The one convolution of the project: NHWC, stride 1, zero padding to the same size.

On the CPU it is made of matrix products, forward and backward: inside a `jax.lax.scan` XLA falls
back to a CPU convolution that is about twenty times slower, and even outside one large product per
convolution beats it. NVIDIA GPUs get these products where `Precision` lets them round: in TF32 a
step of training takes two thirds to three quarters of the time (docs/accelerator.md). All else gets
`jax.lax`'s own convolution.
Which of the two a program holds is decided where it is lowered, so a program for one platform may
be made on another.

Accelerators multiply float32 numbers less exactly than float32 unless told otherwise; `Precision`
says how, for a convolution and for all of its derivatives. The CPU's products are always exact.

A convolution is bilinear in image and kernel. With taps k and radius r,

.. math:: z[p] = \sum_k x[p + k - r] K[k], \qquad
          \bar x = \bar z * \mathrm{flip}(K)^T, \qquad
          \bar K[k] = \sum_p x[p + k - r]^T \bar z[p],

so its derivatives are convolutions again, and the kernel gradient, whose derivatives are
convolutions too. The two are primitives of their own because automatic differentiation of their
products would turn every shifted copy into a padded one, three times the time of the step.

Inside of `jax.shard_map` those forms are used as they are. There JAX tells what differs between
devices from what does not, by rules that it has for its own operations alone, and sums gradients
of what does not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from flowjax_glow.errors import check_choice, expected
from flowjax_glow.numerics import at_least_float32, explicit_batch

Kernel: TypeAlias = Float[Array, "kernel_height kernel_width channels_in channels_out"]
Features: TypeAlias = Float[Array, "batch height width _"]

#: How exactly float32 numbers are multiplied, in the names of `jax.lax.Precision`: ``"default"`` is
#: the device's fastest way (TF32 on recent NVIDIA GPUs, one pass in bfloat16 on TPUs), ``"high"``
#: the next (the same on GPUs, three passes on TPUs), ``"highest"`` float32 itself.
Precision = Literal["default", "high", "highest"]

#: Height and width of a kernel.
Size: TypeAlias = tuple[int, int]


def convolve(x: Features, kernel: Kernel, precision: Precision = "highest") -> Features:
    """Cross-correlates `x` with `kernel`: ``z[p] = sum_k x[p + k - radius] @ kernel[k]``.

    Args:
        x: `(batch, height, width, channels_in)`.
        kernel: `(kernel_height, kernel_width, channels_in, channels_out)`, sizes odd.
        precision: of this product and of those in all of its derivatives.

    Returns:
        `(batch, height, width, channels_out)`; pixels outside `x` count as zero.

    Raises:
        ValueError: if a kernel size is even, channels or dtypes do not match, or `precision` is
            none.
    """
    check_choice("convolve.precision", precision, get_args(Precision))
    height, width, channels_in, _ = kernel.shape
    if height % 2 == 0 or width % 2 == 0:
        raise expected(
            "convolve", "odd kernel sizes", got=(height, width), advice="pad the kernel with zeros"
        )
    if x.shape[-1] != channels_in:
        raise expected(
            "convolve",
            f"{channels_in} input channels as in the kernel",
            got=x.shape[-1],
            advice="initialize the parameters with images of this shape",
        )
    if x.dtype != kernel.dtype:
        raise expected(
            "convolve",
            f"an image of the kernel's dtype, {kernel.dtype}",
            got=x.dtype,
            advice="convert one of them",
        )
    if jax.sharding.get_abstract_mesh().manual_axes:  # inside of jax.shard_map
        return _by_platform(_product_convolve, lax_convolve, x, kernel, precision=precision)
    bind: Any = partial(_convolve_p.bind, precision=precision)
    if place := explicit_batch(x):  # the primitives' own types know of no mesh
        bind = jax.sharding.auto_axes(bind, out_sharding=place)
    return bind(x, kernel)


def lax_convolve(x: Features, kernel: Kernel, precision: Precision) -> Features:
    """The same map by `jax.lax.conv_general_dilated`."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision(precision),
    )


def _lax_kernel_gradient(x: Features, z_bar: Features, size: Size, precision: Precision) -> Kernel:
    kernel = jax.ShapeDtypeStruct((*size, x.shape[-1], z_bar.shape[-1]), x.dtype)
    convolve_x = partial(lax_convolve, x, precision=precision)
    return jax.linear_transpose(convolve_x, kernel)(z_bar)[0]


def _product_convolve(x: Features, kernel: Kernel, precision: Precision) -> Features:
    """One product, and shifted copies of the side that has fewer channels."""
    height, width, channels_in, channels_out = kernel.shape
    multiply = partial(jnp.matmul, precision=jax.lax.Precision(precision))
    if channels_in <= channels_out:
        return multiply(_gather(x, (height, width)), kernel.reshape(-1, channels_out))
    taps = jnp.moveaxis(kernel, 2, 0).reshape(channels_in, -1)
    products = multiply(x, taps, preferred_element_type=at_least_float32(x))  # sums need it
    return _add_up(products, (height, width)).astype(x.dtype)


def _product_kernel_gradient(
    x: Features, z_bar: Features, size: Size, precision: Precision
) -> Kernel:
    channels_in, channels_out = x.shape[-1], z_bar.shape[-1]
    if channels_in <= channels_out:
        taps = _outer(_gather(x, size), z_bar, precision)
        return taps.reshape(*size, channels_in, channels_out)
    # what x[p + k - r] meets at z_bar[p], x[q] meets at z_bar[q - k + r]: the taps from behind
    taps = _outer(x, _gather(z_bar, size), precision).reshape(channels_in, -1, channels_out)
    return jnp.moveaxis(taps[:, ::-1], 0, 1).reshape(*size, channels_in, channels_out)


def _outer(x: Features, y: Features, precision: Precision) -> Float[Array, "_ _"]:
    """``sum_p x[p]^T y[p]`` over all pixels of all images."""
    rows = (side.reshape(-1, side.shape[-1]) for side in (x, y))
    return jnp.matmul(next(rows).T, next(rows), precision=jax.lax.Precision(precision))


def _gather(x: Features, size: Size) -> Features:
    """``x[p + k - radius]`` for every tap k, one after another along the channels."""
    # or a GPU makes x from whatever it is made of, once for every tap
    return jnp.concatenate(_shifts(jax.lax.optimization_barrier(x), size), axis=-1)


def _add_up(products: Features, size: Size) -> Features:
    """``sum_k products[p + k - radius, of tap k]``, taps as in `_gather`."""
    channels = products.shape[-1] // (size[0] * size[1])
    terms = [
        shift[..., tap * channels : (tap + 1) * channels]
        for tap, shift in enumerate(_shifts(products, size))
    ]
    # or a GPU adds up anew for whatever is made of the sum
    return jax.lax.optimization_barrier(sum(terms[1:], terms[0]))


def _shifts(x: Features, size: Size) -> list[Features]:
    down, across = size
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (down // 2,) * 2, (across // 2,) * 2, (0, 0)))
    return [padded[:, i : i + height, j : j + width] for i in range(down) for j in range(across)]


def _swapped(
    kernel: Kernel,
) -> Float[Array, "kernel_height kernel_width channels_out channels_in"]:
    """The kernel that leads back: taps from behind, in and out exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _by_platform(by_products: Callable, by_lax: Callable, *operands: Array, **params: Any) -> Array:
    """The form for the platform that the program is lowered for."""
    forms = _forms(by_products, by_lax)
    return jax.lax.platform_dependent(
        *operands, **{platform: partial(form, **params) for platform, form in forms.items()}
    )


def _forms(by_products: Callable, by_lax: Callable) -> dict[str, Callable]:
    """The form for every platform."""

    def where_rounded(*operands: Array, precision: Precision, **params: Any) -> Array:
        form = by_lax if precision == "highest" else by_products
        return form(*operands, precision=precision, **params)

    return {"cpu": by_products, "cuda": where_rounded, "default": by_lax}


def _primitive(name: str, by_products: Callable, by_lax: Callable, shape: Callable) -> Primitive:
    """A primitive with two forms."""
    primitive = Primitive(name)

    by_platform = partial(_by_platform, by_products, by_lax)

    def batched(operands: tuple, axes: tuple, **params: Any) -> tuple[Array, int]:
        return jax.vmap(partial(by_platform, **params), axes)(*operands), 0

    def abstract(*operands: ShapedArray, **params: Any) -> ShapedArray:
        return ShapedArray(shape(*operands, **params), operands[0].dtype)

    compiled = jax.jit(primitive.bind, static_argnames=("size", "precision"))

    def evaluated(*operands: Array, **params: Any) -> Array:
        with jax.disable_jit(False):  # or it would come back here
            return compiled(*operands, **params)

    primitive.def_impl(evaluated)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batched
    for platform, form in _forms(by_products, by_lax).items():
        lowering = mlir.lower_fun(form, multiple_results=False)
        mlir.register_lowering(primitive, lowering, None if platform == "default" else platform)
    return primitive


_convolve_p = _primitive(
    "convolve",
    _product_convolve,
    lax_convolve,
    lambda x, kernel, precision: (*x.shape[:-1], kernel.shape[-1]),
)
_kernel_gradient_p = _primitive(
    "convolve_kernel_gradient",
    _product_kernel_gradient,
    _lax_kernel_gradient,
    lambda x, z_bar, size, precision: (*size, x.shape[-1], z_bar.shape[-1]),
)
ad.defbilinear(
    _convolve_p,
    lambda z_bar, x, kernel, **own: _convolve_p.bind(z_bar, _swapped(kernel), **own),
    lambda z_bar, x, kernel, **own: _kernel_gradient_p.bind(
        x, z_bar, size=kernel.aval.shape[:2], **own
    ),
)
ad.defbilinear(
    _kernel_gradient_p,
    lambda kernel_bar, x, z_bar, size, **own: _convolve_p.bind(z_bar, _swapped(kernel_bar), **own),
    lambda kernel_bar, x, z_bar, size, **own: _convolve_p.bind(x, kernel_bar, **own),
)
