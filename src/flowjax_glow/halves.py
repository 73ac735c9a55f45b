"""The two halves of the channels, a convention that couplings and splits share."""

from flowjax_glow.types import Image


def halves(x: Image) -> tuple[Image, Image]:
    """The channels a coupling reads, the first ``channels // 2``, and those it moves."""
    read = x.shape[-1] // 2
    return x[..., :read], x[..., read:]
