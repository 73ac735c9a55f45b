"""Parameters and configuration of a flow of this library, from a state in some layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from flowjax_glow.errors import expected
from flowjax_glow.interop.layouts import Conv, Last, Net, Wiring
from flowjax_glow.interop.priors import (
    Named,
    kernel_of,
    last_conv,
    split_prior,
    top_prior,
    with_edge,
)
from flowjax_glow.interop.reading import Reading, step_names
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.scales import Additive
from flowjax_glow.types import Params


@dataclass(frozen=True)
class Converting:
    """How one state is read.

    Attributes:
        reading: the state.
        shape: of an image, (height, width, channels).
        wiring: what the state does not show.
        pixel_range: what black and white are to the model.
        label: of a model that knows classes.
    """

    reading: Reading
    shape: tuple[int, int, int]
    wiring: Wiring
    pixel_range: tuple[float, float]
    label: int | None

    def converted(self) -> tuple[PortedGlowConfig, Params]:
        """The configuration, and the parameters in NumPy arrays of float64 and int32.

        Raises:
            ValueError: if an array is missing, left over, or of a shape that does not fit.
        """
        reading, layout = self.reading, self.reading.layout
        names = step_names(layout, reading.arrays)
        reading.check_started()
        levels, splits, top = [], [], None
        for number, steps in enumerate(names):
            last = number == len(names) - 1
            rows = [self._step(number, index, prefix) for index, prefix in enumerate(steps)]
            level = [(), jax.tree.map(lambda *leaves: np.stack(leaves), *rows)]
            if layout.reads_second:
                level.append({"indices": _order(rows[0][0]["shift"].size, turned=last)})
            height, width = (side >> (number + 1) for side in self.shape[:2])
            if not last:
                splits.append(split_prior(reading, number, steps, (height, width), self.label))
            else:
                top = top_prior(reading, number, (height, width), self.label)
                level += [] if top is None else [top]
            levels.append(tuple(level))
        reading.check_all_taken()
        params = {"levels": tuple(levels), "splits": tuple(splits)}
        return self._config(names, params, top), params

    def _step(self, level: int, index: int, prefix: str) -> tuple[Any, ...]:
        reading, layout = self.reading, self.reading.layout
        actnorm, sign = self._norm(prefix, layout.norm)
        channels = len(sign)
        if not (level or index):
            actnorm = self._from_pixels(actnorm)
        weight = reading.matrix(prefix)
        order = _order(channels, turned=layout.reads_second)
        if index:
            actnorm = {name: values[order] for name, values in actnorm.items()}
            sign = sign[order]
        mixing: Any = ()
        if weight is not None:
            rows = order if index else np.arange(channels)
            mixing = {"weight": sign[:, None] * weight[rows][:, order]}
        elif self.wiring.fields.get("mixing") == "shuffle" or prefix + layout.shuffle in reading:
            what = "the order of channels of a shuffle"
            indices = reading.take(prefix + layout.shuffle, what)
            mixing = {"indices": indices.astype(np.int32)}
        return actnorm, mixing, self._net(prefix, channels)

    def _norm(self, prefix: str, names: tuple[str, str]) -> tuple[Named, np.ndarray]:
        """Shift and log-scale of an actnorm, and the signs of its scale."""
        form = self.reading.layout.norm_form
        a, b = (np.ravel(self.reading.take(prefix + name, "an actnorm")) for name in names)
        ones = np.ones_like(a)
        if form == "shift, factor":
            return {"shift": a, "log_scale": np.log(np.abs(b))}, np.sign(b)
        if form == "generates":
            return {"shift": -a, "log_scale": -b}, ones
        return {"shift": a, "log_scale": b}, ones

    def _from_pixels(self, actnorm: Named) -> Named:
        """An actnorm of numbers in the model's range, for images in [-0.5, 0.5)."""
        low, high = self.pixel_range
        factor, middle = high - low, (low + high) / 2
        return {
            "shift": (actnorm["shift"] + middle) / factor,
            "log_scale": actnorm["log_scale"] + np.log(factor) / self.reading.layout.norm_factor,
        }

    def _net(self, prefix: str, channels: int) -> dict[str, Named]:
        names = self._net_names(prefix)
        first, second = (self._hidden(prefix, conv) for conv in (names.first, names.second))
        last = self._last(prefix, names.last, channels - channels // 2)
        return {"first": first, "second": second, "last": last}

    def _net_names(self, prefix: str) -> Net:
        for net in self.reading.layout.nets:
            if prefix + net.last.kernel in self.reading:
                return net
        return self.reading.layout.nets[0]  # whose missing name is told

    def _hidden(self, prefix: str, names: Conv) -> Named:
        kernel = kernel_of(self.reading, prefix + names.kernel)
        made = with_edge(kernel, self.reading.layout.border, last=False)
        if names.norm is None:
            return {**made, "bias": np.ravel(self.reading.take(prefix + names.bias, "a bias"))}
        norm, _ = self._norm(prefix, names.norm)
        if self.reading.layout.norm_form == "generates":  # in nets the other way: z exp(b) + a
            shift, log_scale = -norm["shift"], -norm["log_scale"]
            norm = {"shift": shift * np.exp(-log_scale), "log_scale": log_scale}
        if names.bias:
            norm["shift"] = norm["shift"] + self.reading.take(prefix + names.bias, "a bias")
        return {**made, **norm}

    def _last(self, prefix: str, names: Last, moved: int) -> Named:
        """With shifts first, and the signs of our own coupling."""
        fields = last_conv(self.reading, prefix, names)
        channels = fields["shift"].size
        layout = self.reading.layout
        signs = np.full(channels, layout.shift_sign)
        order = np.arange(channels)
        if channels == 2 * moved:
            scales_first = layout.order.startswith("scale")
            halves = "halves" in layout.order
            parts = (order[:moved], order[moved:]) if halves else (order[::2], order[1::2])
            order = np.concatenate(parts[::-1] if scales_first else parts)
            signs[moved:] = self.wiring.raw_sign
        turned = {name: values[..., order] for name, values in fields.items()}
        return {
            name: values if name == "log_scale" else values * signs
            for name, values in turned.items()
        }

    def _config(self, names: Sequence[Sequence[str]], params: Params, top: Any) -> PortedGlowConfig:
        layout, level = self.reading.layout, params["levels"][0][1]
        depths = [len(steps) for steps in names]
        if len(set(depths[:-1] or depths)) > 1:
            raise expected(
                f"{self.reading.where}",
                "levels of one depth, but for the last",
                got=f"depths {depths}",
                advice="check that the state is whole",
            )
        actnorm, mixing, net = level
        additive = 2 * net["last"]["shift"].shape[-1] == actnorm["shift"].shape[-1]
        mixings = {"weight": "conv1x1", "indices": "shuffle"}
        kinds = {"mean": "places", "kernel": "learned"}
        fields = {
            "levels": len(names),
            "depth": depths[0],
            "last_depth": None if depths[-1] == depths[0] else depths[-1],
            "width": net["first"]["kernel"].shape[-1],
            "scale": Additive() if additive else self.wiring.scale,
            "reads": "noise" if layout.reads_second else "signal",
            "split_prior": next((kinds[n] for s in params["splits"] for n in kinds if n in s), None)
            or "standard",
            "top_prior": "standard" if top is None else _kind_of_top(top),
            "mixing": next((mixings[name] for name in mixings if name in mixing), "reverse"),
            "permutation": "level_end" if layout.reads_second else "none",
            "net_actnorm": "log_scale" in net["first"],
            "form": layout.form,
            "actnorm_factor": layout.norm_factor,
            "edge": layout.border != "zeros",
            "prior_edge": layout.border != "zeros" and any("edge" in s for s in params["splits"]),
        }
        told_above = ("mixing", "last_slip") if additive else ("mixing",)  # a slip is of scales
        own = {name: v for name, v in self.wiring.fields.items() if name not in told_above}
        return PortedGlowConfig(**fields | own)


def _kind_of_top(top: Named) -> str:
    return "places" if top["mean"].ndim > 1 else "learned"


def _order(channels: int, *, turned: bool) -> np.ndarray:
    """Of channels: as they are, or the second half before the first."""
    order = np.arange(channels, dtype=np.int32)
    return np.roll(order, channels // 2) if turned else order
