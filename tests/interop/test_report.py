"""A report on a flow that was taken over from another library names its layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.diagnostics import stability_report
from flowjax_glow.interop import from_flowjax

pytest.importorskip("flowjax")


def test_a_flow_of_flowjax_is_judged_and_the_broken_layer_named():
    from flowjax.bijections import Affine
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow

    with jax.enable_x64(False):  # a report is about float32
        distribution = coupling_flow(
            jax.random.key(0),
            base_dist=Normal(jnp.zeros(4)),
            transformer=Affine(),
            flow_layers=4,
            nn_width=16,
        )
        flow, params = from_flowjax(distribution.bijection)
        x = np.asarray(distribution.sample(jax.random.key(1), (256,)))
        assert stability_report(flow, params, x, tier="fast").verdict == "trustworthy"

        floats = jnp.floating
        steep = jax.tree.map(lambda p: 4 * p if jnp.issubdtype(p.dtype, floats) else p, params)
        report = stability_report(flow, steep, x, tier="fast")
        assert report.verdict == "broken"
        assert report.layer is not None
        assert report.layer.endswith("/Coupling")
