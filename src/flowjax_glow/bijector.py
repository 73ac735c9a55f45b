"""The contract that every invertible map of this library keeps."""

from abc import ABC, abstractmethod

import jax

from flowjax_glow.context import Context, Rows, as_rows
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Key, Latents, LogDet, Params


class Bijector(ABC):
    r"""An invertible map with explicit parameters.

    The object holds static configuration alone: it is a frozen dataclass, compares by value, may be
    a static argument of `jax.jit`, and every method is a pure function.

    `forward` goes from data to latent, ``z = f(x)``, and `inverse` from latent to data. Each also
    returns the log-det of the map it has just applied, in nats, one number per example,

    .. math:: \log|\det \partial z / \partial x| \quad\text{or}\quad
              \log|\det \partial x / \partial z|,

    so the two at matching points sum to zero. Values and log-dets come together because both follow
    from one evaluation of a coupling's net.

    To write one:

    1. Subclass this as a frozen dataclass. Its fields are configuration: numbers, names, other
       bijectors, nothing that trains. Check them in ``__post_init__``.
    2. Define `init`, `forward` and `inverse`; without one of them nothing can be constructed.
       `errors.check_event` complains of inputs that are no batch of events.
    3. Parameters are any pytree. Float leaves train, integer leaves never do.
    4. Make log-dets with `numerics.sum_events` or `numerics.zero_log_det`, so that they have a
       number per example in at least float32.
    5. One that scales by something learned also defines ``log_scale(params, z)``, the logarithms of
       what `forward` multiplies by at the point that it maps to `z`; so it takes part in the
       diagnostics of scales.
    6. Define `freeze` and `pull_back` anew only where they can be had for less.
    7. One that depends on a context says of which shape in `context_shape`, and puts it into its
       parameters in `condition`: see there.
    8. Hold it to the laws, on parameters off their start: there and back, both log-dets against
       each other, and against ``jnp.linalg.slogdet`` of a Jacobian by `jax.jacobian`.

    >>> from dataclasses import dataclass
    >>> import jax.numpy as jnp
    >>> from flowjax_glow.numerics import constant_log_det
    >>> @dataclass(frozen=True)
    ... class Stretch(Bijector):
    ...     def init(self, key, x):
    ...         return jnp.zeros(())
    ...     def forward(self, params, x):
    ...         return x * jnp.exp(params), constant_log_det(x, params * x.shape[-1])
    ...     def inverse(self, params, z):
    ...         return z * jnp.exp(-params), constant_log_det(z, -params * z.shape[-1])
    >>> z, log_det = Stretch().forward(jnp.array(0.5), jnp.ones((1, 2, 2, 3)))
    >>> print(log_det)
    [6.]
    """

    @property
    def layer_name(self) -> str:
        """What walks and tables call it: its class, or that of the map that it stands for."""
        return type(self).__name__

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """The shape of one context that it depends on; None if it depends on none."""
        return None

    @abstractmethod
    def init(self, key: Key, x: Event) -> Params:
        """Parameters for inputs shaped like `x`, a real batch: some starts read its values."""

    @abstractmethod
    def forward(self, params: Params, x: Event) -> tuple[Latents, LogDet]:
        """``z`` and ``log|det dz/dx|``."""

    @abstractmethod
    def inverse(self, params: Params, z: Latents) -> tuple[Event, LogDet]:
        """``x`` and ``log|det dx/dz|``."""

    def log_det(self, params: Params, x: Event, context: Context | None = None) -> LogDet:
        """``log|det dz/dx|``; under `jax.jit` the unused ``z`` costs nothing."""
        return self.forward(self.given(params, context), x)[1]

    def given(self, params: Params, context: Context | None) -> Params:
        """Parameters that hold a context, which all that takes parameters takes.

        ``flow.forward(flow.given(params, context), x)`` is the map at that context. The gradient
        with respect to the context is that with respect to these parameters, pulled back through
        this function. Another context takes the place of one that they hold.

        Args:
            context: floats `(rows, *context_shape)`, or labels `(rows,)` in place of one-hot
                vectors, with a row per example or one for all; a whole number is the label of all.
                None leaves the parameters as they are.

        Raises:
            ValueError: if nothing here depends on a context, or it is of another shape.
        """
        if context is None:
            return params
        where = f"{self.layer_name}.given"
        return self.condition(params, as_rows(where, self.context_shape, context))

    def condition(self, params: Params, context: Rows) -> Params:
        """What `given` returns, of a context that was looked at: floats `(rows, *context_shape)`.

        A bijector that depends on a context defines it anew, most simply as ``context.give(params,
        context)``, and its `forward` and `inverse` find the context in their parameters. Weights
        that read a context start at zero: then `init` need not know it.
        """
        del context
        return params

    def freeze(self, params: Params) -> Params:
        """Parameters for inference: with all that depends on them alone computed and kept.

        What is kept goes stale when the parameters it was made from change, so never train on it.
        """
        return params

    def pull_back(
        self, params: Params, z: Latents, z_bar: Latents, log_det_bar: LogDet
    ) -> tuple[Event, Params, Event]:
        """One step of backpropagation that needs no stored activation: ``(x, params_bar, x_bar)``.

        From ``z`` and the gradients of a loss with respect to both outputs of `forward` it gives
        the input ``x = f^-1(z)`` and the gradients with respect to `params` (None for what never
        trains) and ``x``. A bijector that computes the same thing in both directions, as a coupling
        its net, defines it anew to compute it once.
        """
        x, _ = self.inverse(params, z)
        values = trainable(params)
        _, pull = jax.vjp(lambda values, x: self.forward(merge(params, values), x), values, x)
        return x, *pull((z_bar, log_det_bar))
