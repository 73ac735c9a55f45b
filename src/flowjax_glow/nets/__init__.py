"""The nets inside couplings and learned priors: conditioned on, never inverted."""

from flowjax_glow.nets.convolutional import DEVIATION, ConvActNorm, CouplingNet, ZeroConv, edge_map
from flowjax_glow.nets.dense import MLP, ZeroDense
from flowjax_glow.nets.net import (
    Net,
    NetFunctions,
    apply_net,
    context_shape_of,
    init_net,
    relu,
)

__all__ = [
    "DEVIATION",
    "MLP",
    "ConvActNorm",
    "CouplingNet",
    "Net",
    "NetFunctions",
    "ZeroConv",
    "ZeroDense",
    "apply_net",
    "context_shape_of",
    "edge_map",
    "init_net",
    "relu",
]
