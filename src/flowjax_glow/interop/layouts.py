"""GLOWs of public code: what they call their arrays, and what they do with them. A row for each.

Names are those of a state; ``{level}`` and ``{step}`` are numbers from 0, ``{place}`` one in a list
of all modules, squeezes and splits included.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from flowjax_glow.scales import Exponential, OnePlusExponential, Scale, Sigmoid


@dataclass(frozen=True)
class Conv:
    """A hidden convolution, by names relative to a step; empty for none.

    Attributes:
        kernel: (out, in, height, width).
        bias: added to the product.
        norm: shift and scale of the actnorm that follows.
    """

    kernel: str
    bias: str = ""
    norm: tuple[str, str] | None = None


@dataclass(frozen=True)
class Last:
    """A convolution that starts at zero: ``(x * kernel + bias) exp(3 logs)``; no logs if empty."""

    kernel: str
    bias: str
    logs: str = ""


@dataclass(frozen=True)
class Net:
    """The net of a coupling."""

    first: Conv
    second: Conv
    last: Last


@dataclass(frozen=True)
class LU:
    """``W = P (tril(L, -1) + I) (triu(U, 1) + diag(sign exp(log)))`` by its parts' names."""

    permutation: str
    lower: str
    upper: str
    log: str
    sign: str


@dataclass(frozen=True)
class Wiring:
    """A choice that a state does not show.

    Attributes:
        meaning: in a line.
        scale: of affine couplings.
        raw_sign: -1 where the scale reads minus the net's number.
        fields: of the configuration.
    """

    meaning: str
    scale: Scale = field(default_factory=Sigmoid)
    raw_sign: int = 1
    fields: dict[str, Any] = field(default_factory=dict)


#: How an actnorm reads its two arrays a and b: ``(x + a) exp(f b)``, or normflows', which generates
#: by ``z exp(b) + a``, or ``b (x + a)``.
Norm = Literal["shift, log", "generates", "shift, factor"]

#: Which channels of a net's output are the first of two fields, and which field that is.
Order = Literal["shift, scale alternate", "scale, shift alternate", "scale, shift halves"]

#: What convolutions see beyond the border: zeros; ones, in last layers alone; or zeros and an edge
#: channel, whose kernel is the last of the input's.
Border = Literal["zeros", "ones", "edge"]


@dataclass(frozen=True)
class Layout:
    """What a layout calls its arrays, and what they mean.

    Attributes:
        source: the public code.
        step: what names of a step begin with.
        norm: shift and scale of a step's actnorm.
        norm_form: how the actnorm reads them, and `norm_factor` the factor of its log-scale.
        dense: the matrix of a dense 1x1 convolution.
        nets: of the couplings, one of which is there.
        split: what names of a split's prior begin with; empty for a standard normal.
        split_conv: the convolution of that prior, and `split_order` of its output.
        top: what names of the top's prior begin with; empty for a standard normal.
        top_conv: the convolution of that prior, which sees zeros.
        label: weight, bias and logs of the linear layer that adds a class's mean and deviation.
        lu: the parts of its LU form.
        shuffle: the order of channels of a step that has no matrix.
        backwards: whether levels and steps are numbered from the noise.
        transposed: whether kernels are (height, width, in, out), and matrices multiply from the
            right, as in TensorFlow.
        reads_second: whether couplings read the second half, and leave it at splits.
        form: of the couplings.
        order: of the net's output; shifts are subtracted where `shift_sign` is -1.
        border: what convolutions see there.
        pixel_range: of its images, as in the public code.
        wirings: choices that a state does not show, by name; `wired` says of which states.
        sized: an array with a number for every place of the last level, which tells the size.
        flags: ends of names of arrays that must not be zero: actnorms that have started.
        unused: ends of names that say nothing more.
        never_saved: ends of names that the public code keeps, but does not save.
    """

    source: str
    step: str
    norm: tuple[str, str]
    dense: str
    nets: tuple[Net, ...]
    norm_form: Norm = "shift, log"
    norm_factor: float = 1.0
    split: str = ""
    split_conv: Last | None = None
    split_order: Literal["alternate", "halves"] = "alternate"
    top: str = ""
    top_conv: Last | None = None
    label: tuple[str, str, str] | None = None
    lu: LU | None = None
    shuffle: str = ""
    backwards: bool = False
    transposed: bool = False
    reads_second: bool = False
    form: Literal["shift-first", "scale-first"] = "shift-first"
    order: Order = "shift, scale alternate"
    shift_sign: int = 1
    border: Border = "zeros"
    pixel_range: tuple[float, float] = (-0.5, 0.5)
    wirings: dict[str, Wiring] = field(default_factory=dict)
    wired: Literal["affine", "no matrix", "all"] = "affine"
    sized: str = ""
    flags: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    never_saved: tuple[str, ...] = ()


def _normflows_net(actnorm: bool) -> Net:
    net = "0.flows.1.param_map.net."
    if not actnorm:
        first, second = (Conv(f"{net}{i}.weight", f"{net}{i}.bias") for i in (0, 2))
        return Net(first, second, Last(f"{net}4.weight", f"{net}4.bias"))
    first, second = (
        Conv(f"{net}{i}.weight", norm=(f"{net}{i + 1}.actNorm.t", f"{net}{i + 1}.actNorm.s"))
        for i in (0, 3)
    )
    return Net(first, second, Last(f"{net}6.weight", f"{net}6.bias"))


def _twice(conv: Callable[[int], Conv], last: Last) -> Net:
    """With hidden layers that are called alike, but for a number 1 or 2."""
    return Net(conv(1), conv(2), last)


def _numbered(kernel: str, norm: str) -> Net:
    """Of y0ast and chaiyujin, whose nets are lists."""
    first, second = (
        Conv(kernel.format(i), norm=(norm.format(i, "bias"), norm.format(i, "logs")))
        for i in (0, 2)
    )
    last = kernel.format(4)
    logs = f"{norm.partition('{}')[0]}4.logs"
    return Net(first, second, Last(last, last.replace("weight", "bias"), logs))


_PERMUTATIONS = {
    "reverse": Wiring("flow_permutation reverse", fields={"mixing": "reverse"}),
    "shuffle": Wiring("flow_permutation shuffle", fields={"mixing": "shuffle"}),
}

LAYOUTS: dict[str, Layout] = {
    "normflows": Layout(
        source="github.com/VincentStimper/normalizing-flows: MultiscaleFlow of GlowBlock, Squeeze",
        step="flows.{level}.{step}.flows.",
        backwards=True,
        norm=("2.t", "2.s"),
        norm_form="generates",
        dense="1.W",
        lu=LU("1.P", "1.L", "1.U", "1.log_S", "1.sign_S"),
        nets=(_normflows_net(actnorm=False), _normflows_net(actnorm=True)),
        shift_sign=-1,
        split="q0.{level}.",
        top="q0.0.",
        pixel_range=(0.0, 1.0),
        wirings={
            "sigmoid": Wiring("scale_map sigmoid, what GlowBlock has if nothing is said"),
            "sigmoid_inv": Wiring("scale_map sigmoid_inv", OnePlusExponential(), -1),
            "exp": Wiring("scale_map exp", Exponential(), -1),
        },
        sized="q0.0.loc",
        flags=("data_dep_init_done",),
        unused=("1.eye",),
    ),
    "rosinality": Layout(
        source="github.com/rosinality/glow-pytorch, model.py",
        step="blocks.{level}.flows.{step}.",
        norm=("actnorm.loc", "actnorm.scale"),
        norm_form="shift, factor",
        dense="invconv.weight",
        lu=LU("invconv.w_p", "invconv.w_l", "invconv.w_u", "invconv.w_s", "invconv.s_sign"),
        nets=(
            Net(
                Conv("coupling.net.0.weight", "coupling.net.0.bias"),
                Conv("coupling.net.2.weight", "coupling.net.2.bias"),
                Last(
                    "coupling.net.4.conv.weight", "coupling.net.4.conv.bias", "coupling.net.4.scale"
                ),
            ),
        ),
        order="scale, shift halves",
        border="ones",
        split="blocks.{level}.prior.",
        split_conv=Last("conv.weight", "conv.bias", "scale"),
        split_order="halves",
        top="blocks.{level}.prior.",
        top_conv=Last("conv.weight", "conv.bias", "scale"),
        flags=("actnorm.initialized",),
        unused=("invconv.u_mask", "invconv.l_mask", "invconv.l_eye"),
    ),
    "y0ast": Layout(
        source="github.com/y0ast/Glow-PyTorch, model.py and modules.py",
        step="flow.layers.{place}.",
        norm=("actnorm.bias", "actnorm.logs"),
        dense="invconv.weight",
        lu=LU("invconv.p", "invconv.lower", "invconv.upper", "invconv.log_s", "invconv.sign_s"),
        shuffle="shuffle.indices",
        nets=(_numbered("block.{}.conv.weight", "block.{}.actnorm.{}"),),
        split="flow.layers.{place}.conv.",
        split_conv=Last("conv.weight", "conv.bias", "logs"),
        top="learn_top_fn.",
        top_conv=Last("conv.weight", "conv.bias", "logs"),
        label=("project_ycond.linear.weight", "project_ycond.linear.bias", "project_ycond.logs"),
        wirings=_PERMUTATIONS,
        wired="no matrix",
        sized="prior_h",
        unused=(
            "prior_h",
            "project_class.linear.weight",
            "project_class.linear.bias",
            "project_class.logs",
        ),
        never_saved=("shuffle.indices",),
    ),
    "chaiyujin": Layout(
        source="github.com/chaiyujin/glow-pytorch, glow/models.py and glow/modules.py",
        step="flow.layers.{place}.",
        norm=("actnorm.bias", "actnorm.logs"),
        dense="invconv.weight",
        lu=LU("invconv.p", "invconv.l", "invconv.u", "invconv.log_s", "invconv.sign_s"),
        shuffle="shuffle.indices",
        nets=(_numbered("f.{}.weight", "f.{}.actnorm.{}"),),
        split="flow.layers.{place}.conv.",
        split_conv=Last("weight", "bias", "logs"),
        top="learn_top.",
        top_conv=Last("weight", "bias", "logs"),
        label=("project_ycond.weight", "project_ycond.bias", "project_ycond.logs"),
        pixel_range=(0.0, 1.0),
        wirings=_PERMUTATIONS,
        wired="no matrix",
        sized="prior_h",
        unused=("prior_h", "project_class.weight", "project_class.bias", "project_class.logs"),
        never_saved=("shuffle.indices", "invconv.p", "invconv.sign_s"),
    ),
    "glowip": Layout(
        source="github.com/CACTuS-AI/GlowIP, glow/",
        step="glow_modules.{place}.",
        norm=("actnorm.b", "actnorm.logs"),
        dense="invconv.W",
        nets=(
            _twice(
                lambda i: Conv(
                    f"coupling.net.conv{i}.weight",
                    f"coupling.net.conv{i}.bias",
                    (f"coupling.net.actnorm{i}.b", f"coupling.net.actnorm{i}.logs"),
                ),
                Last("coupling.net.conv3.weight", "coupling.net.conv3.bias", "coupling.net.logs"),
            ),
        ),
        reads_second=True,
        form="scale-first",
        order="scale, shift alternate",
        wirings={
            "599f592": Wiring(
                "that revision: squeezes into strips, s = sigmoid(h + 2)",
                fields={"squeeze_parts": "strips"},
            ),
            "7173408": Wiring(
                "that revision, trained with last_zeros and no coupling_bias: squeezes into "
                "blocks, s = sigmoid(h + 2) + 1 in the last level",
                fields={"last_slip": True},
            ),
        },
        wired="all",
    ),
    "openai": Layout(
        source="github.com/openai/glow, model.py and tfops.py; its variables in an .npz file",
        step="model/{level}/{step}/",
        norm=("actnorm_center/b", "actnorm_scale/logs"),
        norm_factor=3.0,
        dense="invconv/W",
        shuffle="shuffle/indices",
        nets=(
            _twice(
                lambda i: Conv(
                    f"f1/l_{i}/W",
                    norm=(f"f1/l_{i}/actnorm_center/b", f"f1/l_{i}/actnorm_scale/logs"),
                ),
                Last("f1/l_last/W", "f1/l_last/b", "f1/l_last/logs"),
            ),
        ),
        transposed=True,
        border="edge",
        split="model/pool{level}/conv/",
        split_conv=Last("W", "b", "logs"),
        top="model/prior/p/",
        top_conv=Last("W", "b", "logs"),
        label=("model/prior/y_emb/W", "model/prior/y_emb/b", "model/prior/y_emb/logs"),
        unused=("shuffle/indices_inverse", "classifier/W", "classifier/b", "classifier/logs"),
    ),
}
