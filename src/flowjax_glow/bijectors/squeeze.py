"""Space to depth."""

from dataclasses import dataclass
from typing import Literal, get_args

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import check_choice, check_image, expected
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Image, Key, LogDet, Params

Parts = Literal["blocks", "strips"]


@dataclass(frozen=True)
class Squeeze(Bijector):
    """`(batch, height, width, c)` to `(batch, height/2, width/2, 4c)`; the log-det is 0.

    A channel becomes four neighboring channels: of the four `parts` of each of its 2x2 `"blocks"`,
    row by row, or of its four `"strips"`, a quarter of its rows each, in which two half rows are a
    row. The strips are GlowIP's (glow/squeeze.py at 599f592), which views `(c, height, width)` as
    `(4c, height/2, width/2)`.

    Raises:
        ValueError: if `parts` is neither.
    """

    parts: Parts = "blocks"

    def __post_init__(self) -> None:
        check_choice("Squeeze.parts", self.parts, get_args(Parts))

    def init(self, key: Key, x: Image) -> Params:
        del key
        check_image("squeeze", x)
        return ()

    def forward(self, params: Params, x: Image) -> tuple[Image, LogDet]:
        del params
        check_image("squeeze", x)  # GLOW's first bijector: what reaches it comes from the user
        batch, height, width, channels = x.shape
        if height % 2 or width % 2:
            raise expected(
                "squeeze",
                "even height and width",
                got=(height, width),
                advice="pad or crop the images first",
            )
        if self.parts == "strips":
            rows = x.transpose(0, 3, 1, 2).reshape(batch, 4 * channels, height // 2, width // 2)
            return rows.transpose(0, 2, 3, 1), zero_log_det(x)
        # one axis at a time: all that JAX takes where the batch is split over an Explicit mesh
        rows = x.reshape(batch, height // 2, 2, width, channels)
        blocks = rows.reshape(batch, height // 2, 2, width // 2, 2, channels)
        z = blocks.transpose(0, 1, 3, 5, 2, 4).reshape(batch, height // 2, width // 2, 4 * channels)
        return z, zero_log_det(x)

    def inverse(self, params: Params, z: Image) -> tuple[Image, LogDet]:
        del params
        batch, height, width, channels = z.shape
        if channels % 4:
            raise expected(
                "squeeze.inverse",
                "channels in multiples of 4",
                got=channels,
                advice="pass what forward returned",
            )
        if self.parts == "strips":
            rows = z.transpose(0, 3, 1, 2).reshape(batch, channels // 4, 2 * height, 2 * width)
            return rows.transpose(0, 2, 3, 1), zero_log_det(z)
        blocks = z.reshape(batch, height, width, channels // 4, 2, 2)
        spread = blocks.transpose(0, 1, 4, 2, 5, 3)
        rows = spread.reshape(batch, 2 * height, width, 2, channels // 4)
        return rows.reshape(batch, 2 * height, 2 * width, channels // 4), zero_log_det(z)
