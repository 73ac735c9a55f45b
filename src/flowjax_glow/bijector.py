"""The contract that every invertible map of this library keeps."""

import jax

from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Image, Key, Latents, LogDet, Params


class Bijector:
    r"""An invertible map with explicit parameters.

    The object holds static configuration alone: it is a frozen dataclass, compares by value, may be
    a static argument of `jax.jit`, and every method is a pure function.

    `forward` goes from data to latent, ``z = f(x)``, and `inverse` from latent to data. Each also
    returns the log-det of the map it has just applied, in nats, one number per example,

    .. math:: \log|\det \partial z / \partial x| \quad\text{or}\quad
              \log|\det \partial x / \partial z|,

    so the two at matching points sum to zero. Values and log-dets come together because both follow
    from one evaluation of a coupling's net.

    To write one, subclass this as a frozen dataclass and define the first three methods; a bijector
    that scales by something learned also defines ``log_scale(params, z)`` and so takes part in the
    records of `walk.walk_inverse`.
    """

    def init(self, key: Key, x: Image) -> Params:
        """Parameters for inputs shaped like `x`, a real batch: some starts read its values."""
        raise NotImplementedError(f"{type(self).__name__} must define init")

    def forward(self, params: Params, x: Image) -> tuple[Latents, LogDet]:
        """``z`` and ``log|det dz/dx|``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def inverse(self, params: Params, z: Latents) -> tuple[Image, LogDet]:
        """``x`` and ``log|det dx/dz|``."""
        raise NotImplementedError(f"{type(self).__name__} must define inverse")

    def log_det(self, params: Params, x: Image) -> LogDet:
        """``log|det dz/dx|``; under `jax.jit` the unused ``z`` costs nothing."""
        return self.forward(params, x)[1]

    def freeze(self, params: Params) -> Params:
        """Parameters for inference: with all that depends on them alone computed and kept.

        What is kept goes stale when the parameters it was made from change, so never train on it.
        """
        return params

    def pull_back(
        self, params: Params, z: Latents, z_bar: Latents, log_det_bar: LogDet
    ) -> tuple[Image, Params, Image]:
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
