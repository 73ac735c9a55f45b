"""Convolutions and priors of a state, in the terms of `ZeroConv`, `Split` and `LearnedPrior`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowjax_glow.errors import expected
from flowjax_glow.interop.layouts import Border, Last
from flowjax_glow.interop.reading import Reading, step_names
from flowjax_glow.numerics import LOG_SCALE_FACTOR

#: Names of parameters, and arrays in float64.
Named = dict[str, np.ndarray]


def kernel_of(reading: Reading, name: str) -> np.ndarray:
    """A kernel, (height, width, in, out)."""
    kernel = reading.take(name, "the kernel of a convolution")
    if kernel.ndim != 4:
        raise expected(
            f"{reading.where}: {name}", "a kernel", got=f"shape {kernel.shape}", advice="check it"
        )
    return kernel if reading.layout.transposed else kernel.transpose(2, 3, 1, 0)


def with_edge(kernel: np.ndarray, border: Border, *, last: bool) -> Named:
    """The kernel, and its part for an edge channel where nets have one.

    Beyond the border all channels of ones are as one edge channel with the sum of their kernels.
    """
    if border == "zeros":
        return {"kernel": kernel}
    if border == "edge":
        if kernel.shape[:2] == (1, 1):
            return {"kernel": kernel}
        return {"kernel": kernel[:, :, :-1], "edge": kernel[:, :, -1:]}
    if kernel.shape[:2] == (1, 1):
        return {"kernel": kernel}
    edge = kernel.sum(axis=2, keepdims=True)
    return {"kernel": kernel, "edge": edge if last else np.zeros_like(edge)}


def last_conv(reading: Reading, prefix: str, names: Last) -> Named:
    """A convolution that starts at zero, with the channels in the layout's order."""
    made = with_edge(kernel_of(reading, prefix + names.kernel), reading.layout.border, last=True)
    bias = np.ravel(reading.take(prefix + names.bias, "a bias"))
    logs = reading.take(prefix + names.logs, "log-scales") if names.logs else np.zeros_like(bias)
    return {**made, "shift": bias, "log_scale": np.ravel(logs)}


def split_prior(
    reading: Reading, level: int, steps: Sequence[str], sides: tuple[int, int], label: int | None
) -> Any:
    """Parameters of the `Split` after a level: a net's, those of all places, or none."""
    layout = reading.layout
    if not layout.split:
        return ()
    if layout.split_conv is None:
        backwards = len(step_names(layout, reading.arrays)) - 1 - level
        mean, log_std = _normflows_base(reading, layout.split.format(level=backwards), label)
        shape = (*sides, mean.shape[-1])
        return {"mean": np.broadcast_to(mean, shape), "raw": np.broadcast_to(log_std, shape)}
    prefix = layout.split.format(level=level, place=_place(steps[-1]) + 1)
    fields = last_conv(reading, prefix, layout.split_conv)
    order = np.arange(fields["shift"].size)
    if layout.split_order == "alternate":
        order = np.concatenate([order[::2], order[1::2]])
    return {name: values[..., order] for name, values in fields.items()}


def top_prior(
    reading: Reading, level: int, sides: tuple[int, int], label: int | None
) -> Named | None:
    """Parameters of the `LearnedPrior` of the top; None for a standard normal."""
    layout = reading.layout
    if not layout.top:
        return None
    prefix = layout.top.format(level=level)
    if layout.top_conv is None:
        mean, log_std = _normflows_base(reading, prefix, label)
        return {"mean": mean, "log_std": log_std / LOG_SCALE_FACTOR}
    fields: Any = 0.0
    if prefix + layout.top_conv.kernel in reading:
        conv = last_conv(reading, prefix, layout.top_conv)
        fields = conv["shift"] + (_edge_map(conv["edge"], sides) if "edge" in conv else 0.0)
        fields = fields * np.exp(LOG_SCALE_FACTOR * conv["log_scale"])
    if layout.label is not None and layout.label[0] in reading:
        fields = fields + _of_label(reading, layout.label, label)
    if np.ndim(fields) == 0:
        return None
    mean, log_std = np.split(fields, 2, axis=-1)
    return {"mean": mean, "log_std": log_std / LOG_SCALE_FACTOR}


def _of_label(reading: Reading, names: tuple[str, str, str], label: int | None) -> np.ndarray:
    """What a class adds to mean and deviation."""
    weight, bias, logs = (reading.take(name, "a class's prior") for name in names)
    weight = weight if reading.layout.transposed else weight.T
    chosen = weight[_known(reading, label, len(weight))]
    return (chosen + np.ravel(bias)) * np.exp(LOG_SCALE_FACTOR * np.ravel(logs))


def _known(reading: Reading, label: int | None, classes: int) -> int:
    if label is None or not 0 <= label < classes:
        raise expected(
            f"{reading.where}: --label",
            f"a class from 0 to {classes - 1}, since the prior is another for each",
            got=label,
            advice="choose one; the model that comes out is of its images",
        )
    return label


def _normflows_base(
    reading: Reading, prefix: str, label: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-deviation, channels last, of `GlowBase` or of a diagonal Gaussian."""
    what = "a base: GlowBase, DiagGaussian or ClassCondDiagGaussian"
    mean, log_std = (reading.take(prefix + name, what) for name in ("loc", "log_scale"))
    if f"{prefix}loc_logs" in reading:
        factors = (reading.take(f"{prefix}{name}_logs", what) for name in ("loc", "log_scale"))
        mean, log_std = (
            np.ravel(value * np.exp(LOG_SCALE_FACTOR * factor))
            for value, factor in zip((mean, log_std), factors)
        )
        if f"{prefix}loc_cc" in reading:
            names = (f"{prefix}{name}_cc" for name in ("loc", "log_scale"))
            of_classes = [reading.take(name, what) for name in names]
            index = _known(reading, label, len(of_classes[0]))
            mean, log_std = mean + of_classes[0][index], log_std + of_classes[1][index]
        return mean, log_std
    if mean.shape[0] == 1:
        mean, log_std = mean[0], log_std[0]
    else:
        index = _known(reading, label, mean.shape[-1])
        mean, log_std = mean[..., index], log_std[..., index]
    return np.moveaxis(mean, 0, -1), np.moveaxis(log_std, 0, -1)


def _place(prefix: str) -> int:
    """The place of a step in a list of all modules."""
    numbers = [int(part) for part in prefix.split(".") if part.isdecimal()]
    return numbers[0] if numbers else 0


def _edge_map(edge: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """What an edge channel adds, (height, width, out), as `nets.edge_map`."""
    height, width = sides
    outside = np.pad(np.zeros(sides), 1, constant_values=1.0)
    taps = [
        outside[i : i + height, j : j + width, None] * edge[i, j, 0]
        for i in range(3)
        for j in range(3)
    ]
    return np.sum(taps, axis=0)
