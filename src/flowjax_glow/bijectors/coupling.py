"""Affine coupling: one half of the channels sets the shift and scale of the other."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.channels import halves
from flowjax_glow.context import Context, Rows, give
from flowjax_glow.errors import check_choice, check_event, check_positive
from flowjax_glow.nets import CouplingNet, Net, apply_net, context_shape_of, init_net
from flowjax_glow.numerics import per_example, sum_events
from flowjax_glow.scales import Scale, Sigmoid
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Key, LogDet, Params

Form = Literal["shift-first", "scale-first"]


@dataclass(frozen=True)
class AffineCoupling(Bijector):
    r"""One half of the channels is read, the other moved: ``net(x_read)`` gives a shift t and s.

    ``z_read = x_read`` and, by `form`,

    ===============  =======================  =========================  =======================
    form             forward                  inverse                    used by
    ===============  =======================  =========================  =======================
    ``shift-first``  ``z_moved = (x + t) s``  ``x_moved = z / s - t``    openai/glow; the default
    ``scale-first``  ``z_moved = s x + t``    ``x_moved = (z - t) / s``  RealNVP, GlowIP, nflows
    ===============  =======================  =========================  =======================

    with ``log|det dz/dx| = sum(log s)``. Both are the same family of maps, but an error of t enters
    the inverse as it is in the first form, and divided by s in the second. The net reads the same
    half in both directions; it may be any function, since only the scale is ever inverted.

    `net` is a Flax module called as ``net(read, channels_out)``, `CouplingNet` for images or `MLP`
    for vectors, or a pair of functions, `NetFunctions`; one with a `context_shape` also reads a
    context. Its first ``moved`` channels are the shift
    and its last ones go to `scale`. Source: Dinh et al. 2016; Kingma & Dhariwal 2018.

    With a `shift_limit` c the shift is ``c tanh(t / c)`` instead, so that it stays in (-c, c).
    Source: Gu et al. 2025 (STARFlow), public code, which bounds the raw scale by the same map: see
    `TanhSoftplus`.

    Raises:
        ValueError: if `form` is neither, or `shift_limit` is not above 0 and finite.
    """

    net: Net = field(default_factory=CouplingNet)
    scale: Scale = field(default_factory=Sigmoid)
    form: Form = "shift-first"
    shift_limit: float | None = None

    def __post_init__(self) -> None:
        check_choice("AffineCoupling.form", self.form, get_args(Form))
        if self.shift_limit is not None:
            check_positive("AffineCoupling.shift_limit", self.shift_limit)

    def init(self, key: Key, x: Event) -> Params:
        check_event("AffineCoupling", x, min_channels=2)
        read, moved = halves(x)
        return init_net(self.net, key, read, self._channels_out(moved))

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        return context_shape_of(self.net)

    def condition(self, params: Params, context: Rows) -> Params:
        return params if self.context_shape is None else give(params, context)

    def forward(
        self, params: Params, x: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.given(params, context)
        read, moved = halves(x)
        shift, raw = self._fields(params, read, moved)
        moved = self._do(moved, shift, self.scale.value(raw))
        return jnp.concatenate([read, moved], axis=-1), sum_events(self.scale.log(raw))

    def inverse(
        self, params: Params, z: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.given(params, context)
        read, moved = halves(z)
        shift, raw = self._fields(params, read, moved)
        moved = self.undo(moved, shift, self.scale.reciprocal(raw))
        return jnp.concatenate([read, moved], axis=-1), -sum_events(self.scale.log(raw))

    def pull_back(
        self, params: Params, z: Event, z_bar: Event, log_det_bar: LogDet
    ) -> tuple[Event, Params, Event]:
        """The net runs once, for ``x`` and for the gradients: both directions read the same half.

        With ``s = exp(l)`` and ``log_det = sum(l)`` the gradients are ``x_moved_bar = z_moved_bar
        s`` and ``l_bar = z_moved_bar y + log_det_bar``, where y is what s has multiplied, times s:
        ``z_moved``, and ``z_moved - shift`` where the scale comes first. ``shift_bar`` is
        ``x_moved_bar``, and ``z_moved_bar`` where the scale comes first.
        """
        (read, moved), (read_bar, moved_bar) = halves(z), halves(z_bar)

        def fields(values: Params, read: Event) -> tuple[tuple[Event, Event], Event]:
            shift, raw = self._fields(merge(params, values), read, moved)
            return (shift, self.scale.log(raw)), raw

        (shift, _), pull, raw = jax.vjp(fields, trainable(params), read, has_aux=True)
        scale_first = self.form == "scale-first"
        scaled = moved - shift if scale_first else moved
        log_scale_bar = moved_bar * scaled + per_example(log_det_bar, moved)
        x_moved_bar = moved_bar * self.scale.value(raw)
        shift_bar = moved_bar if scale_first else x_moved_bar
        moved = self.undo(moved, shift, self.scale.reciprocal(raw))
        params_bar, net_bar = pull((shift_bar, log_scale_bar))
        x = jnp.concatenate([read, moved], axis=-1)
        return x, params_bar, jnp.concatenate([read_bar + net_bar, x_moved_bar], axis=-1)

    def _do(self, moved: Event, shift: Event, scale: Event) -> Event:
        """``x_moved -> z_moved``."""
        if self.form == "scale-first":
            return moved * scale + shift
        return (moved + shift) * scale

    def undo(self, moved: Event, shift: Event, reciprocal: Event) -> Event:
        """``z_moved -> x_moved``, from the shift and from ``1 / s``."""
        if self.form == "scale-first":
            return (moved - shift) * reciprocal
        return moved * reciprocal - shift

    def log_scale(self, params: Params, z: Event, context: Context | None = None) -> Event:
        """``log s`` of the moved half, from either end of the coupling: both have the read half."""
        return self.shift_and_log_scale(params, z, context)[1]

    def shift_and_log_scale(
        self, params: Params, z: Event, context: Context | None = None
    ) -> tuple[Event, Event]:
        """``shift`` and ``log s``, each in the shape of the moved half, from either end."""
        shift, raw = self._fields(self.given(params, context), *halves(z))
        return shift, self.scale.log(raw)

    def _fields(self, params: Params, read: Event, moved: Event) -> tuple[Event, Event]:
        """The shift, and the raw numbers that `scale` reads."""
        output = apply_net(self.net, params, read, self._channels_out(moved))
        channels = moved.shape[-1]
        shift = output[..., :channels]
        if self.shift_limit is not None:
            shift = self.shift_limit * jnp.tanh(shift / self.shift_limit)
        # A scale without raw channels sees the shift in their place and reads its shape alone.
        return shift, output[..., -channels:]

    def _channels_out(self, moved: Event) -> int:
        return moved.shape[-1] * (1 + self.scale.raw_count)
