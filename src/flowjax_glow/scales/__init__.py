r"""The remedies: how a coupling net's raw output `h` becomes a log-scale.

A coupling multiplies by `s` on the way to the latents and divides by it on the way back, so the
inverse is as good as `s` is far from zero. Each entry states ``log s``, in log-space; the two
directions are ``exp(log s)`` and ``exp(-log s)`` where no closed form is cheaper. Bounds are those
of the mathematics; float rounding may close an open end.

With ``u = h + 2`` and ``sigma`` the logistic function:

===============  ==========================================  ====================
name             s                                           range of s
===============  ==========================================  ====================
``additive``     1                                           {1}
``sigmoid``      sigma(u)                                    (0, 1)
``biased``       sigma(u) + b                                (b, 1 + b)
``bounded``      a + (b - a) sigma(u)                        (a, b)
``soft-clamp``   exp(alpha (2/pi) atan(h / alpha))           (e^-alpha, e^alpha)
``asymmetric``   the same, with beta where h is above 0      (e^-alpha, e^beta)
``tanh``         exp(alpha tanh(h))                          (e^-alpha, e^alpha)
``depth-scaled`` exp(c tanh(h / c)), c = alpha / steps       (e^-c, e^c)
``softplus``     1 / softplus(log(e - 1) - c tanh(h / c))    c = 4: (0.22, 32.3)
``two-sigmoid``  2 sigma(h)                                  (0, 2)
===============  ==========================================  ====================

`Exponential`, ``s = exp(h)``, is the deviation of a learned prior and no remedy for anything.
`OnePlusExponential`, ``s = 1 + exp(h - 2)``, is none either.
"""

from flowjax_glow.errors import check_choice, expected
from flowjax_glow.scales.base import Additive, Scale
from flowjax_glow.scales.clamps import (
    AsymmetricClamp,
    SoftClamp,
    SymmetricScale,
    TanhExponential,
    TanhSoftplus,
)
from flowjax_glow.scales.depth import DepthScaled
from flowjax_glow.scales.others import Blend, Exponential
from flowjax_glow.scales.sigmoids import (
    Biased,
    Bounded,
    OnePlusExponential,
    Sigmoid,
    SigmoidScale,
    TwoSigmoid,
)

__all__ = [
    "SCALES",
    "Additive",
    "AsymmetricClamp",
    "Biased",
    "Blend",
    "Bounded",
    "DepthScaled",
    "Exponential",
    "OnePlusExponential",
    "Scale",
    "Sigmoid",
    "SigmoidScale",
    "SoftClamp",
    "SymmetricScale",
    "TanhExponential",
    "TanhSoftplus",
    "TwoSigmoid",
    "scale_from",
]


def scale_from(text: str) -> Scale:
    """The scale of ``"name"`` or ``"name:constant,constant"``, such as ``"bounded:0.5,1"``.

    Raises:
        ValueError: if there is no scale of that name, or it does not take these constants.
    """
    name, _, constants = text.partition(":")
    check_choice("scale", name, tuple(SCALES))
    if not constants:
        return SCALES[name]
    try:
        return type(SCALES[name])(*map(float, constants.split(",")))
    except (TypeError, ValueError) as error:
        raise expected(
            "scale", f"{name} with constants like {SCALES[name]}", got=repr(text), advice=str(error)
        ) from None


#: Every scale of a coupling by name, with its default constants. ``depth-scaled`` is still to be
#: told its steps.
SCALES: dict[str, Scale] = {
    "additive": Additive(),
    "sigmoid": Sigmoid(),
    "biased": Biased(),
    "bounded": Bounded(),
    "soft-clamp": SoftClamp(),
    "asymmetric": AsymmetricClamp(),
    "tanh": TanhExponential(),
    "depth-scaled": DepthScaled(),
    "softplus": TanhSoftplus(),
    "two-sigmoid": TwoSigmoid(),
}
