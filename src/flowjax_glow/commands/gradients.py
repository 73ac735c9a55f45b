"""`flowjax-glow gradients`: are gradients by inversion good enough?"""

from dataclasses import dataclass

import jax

from flowjax_glow.commands.command import OnModels
from flowjax_glow.diagnostics import drift, gradient_fidelity
from flowjax_glow.errors import check_count
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs.load import trained_models


@dataclass(frozen=True, kw_only=True)
class Gradients(OnModels):
    """Compare gradients by inversion with exact ones, on held-out images.

    Prints how well each level gives back its input (drift), and the angle and the relative error
    between gradients with memory="invert" and exact ones.
    """

    count: int = 64
    """Held-out images to measure on."""

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    def __call__(self) -> None:
        check_count("--count", self.count)
        measure = jax.jit(drift, static_argnums=0)
        print("run                    step  relative error  angle, degrees  drift per level")
        for trained in trained_models(self.run):
            params, pixels = trained.given_images(self.data, self.count)
            x = bin_midpoints(pixels, n_bits=trained.experiment.n_bits)
            fidelity = gradient_fidelity(trained.flow, params, x)
            levels = "  ".join(f"{value:.1e}" for value in measure(trained.flow, params, x))
            print(
                f"{trained.path.name:<20} {trained.step:6d}  "
                f"{fidelity.relative_error[0]:14.1e}  {fidelity.angle[0]:14.1e}  {levels}"
            )
