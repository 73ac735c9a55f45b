"""Flows of other JAX libraries in this one, and flows of this one in others.

There is a function for each library, whose packages are imported when it is called; the extra
`interop` has them all.
"""

from flowjax_glow.interop.bijx import from_bijx
from flowjax_glow.interop.checkpoints import from_checkpoint
from flowjax_glow.interop.distrax import from_distrax, to_distrax
from flowjax_glow.interop.flowjax import from_flowjax, to_flowjax
from flowjax_glow.interop.foreign import Foreign, Layers
from flowjax_glow.interop.layouts import LAYOUTS
from flowjax_glow.interop.nets import net_from_equinox, net_from_nnx
from flowjax_glow.interop.numpyro import to_numpyro

__all__ = [
    "LAYOUTS",
    "Foreign",
    "Layers",
    "from_bijx",
    "from_checkpoint",
    "from_distrax",
    "from_flowjax",
    "net_from_equinox",
    "net_from_nnx",
    "to_distrax",
    "to_flowjax",
    "to_numpyro",
]
