"""NumPyro: a flow over a standard normal as a distribution."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import log_prob, sample
from flowjax_glow.interop.packages import needed
from flowjax_glow.types import Params


def to_numpyro(flow: Bijector, params: Params, shape: Sequence[int]) -> Any:
    """The flow over a standard normal as a NumPyro distribution of events of `shape`.

    It has `sample` and `log_prob`, and is a pytree whose arrays are `params`.

    Raises:
        ModuleNotFoundError: without NumPyro.
    """
    return _numpyro_class()(flow, params, tuple(shape))


@functools.cache
def _numpyro_class() -> Any:
    library = needed("numpyro.distributions")

    class FlowDistribution(library.Distribution):
        """A flow of flowjax_glow over a standard normal."""

        pytree_data_fields = ("params",)
        pytree_aux_fields = ("flow",)

        def __init__(
            self, flow: Any, params: Any, shape: tuple[int, ...], *, validate_args: Any = None
        ) -> None:
            self.flow, self.params = flow, params
            super().__init__(event_shape=shape, validate_args=validate_args)

        @property
        def support(self) -> Any:
            return library.constraints.independent(library.constraints.real, self.event_dim)

        def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
            if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
                key = jax.random.wrap_key_data(key)
            count = 1
            for size in sample_shape:
                count *= size
            drawn = sample(self.flow, self.params, key, (count, *self.event_shape))
            return drawn.reshape(*sample_shape, *self.event_shape)

        @library.util.validate_sample
        def log_prob(self, value: Any) -> Any:
            batch = value.shape[: value.ndim - self.event_dim]
            events = value.reshape(-1, *self.event_shape)
            return log_prob(self.flow, self.params, events).reshape(batch)

    return FlowDistribution
