"""`flowjax-glow import`: a GLOW that other code has trained, as a model file."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from flowjax_glow.commands.command import Command
from flowjax_glow.data.indexed import held_out
from flowjax_glow.errors import expected
from flowjax_glow.fitting import HELD_OUT, HELD_OUT_KEY
from flowjax_glow.interop.checkpoints import from_checkpoint
from flowjax_glow.interop.layouts import LAYOUTS
from flowjax_glow.model import Model
from flowjax_glow.model_file import SUFFIX, taken
from flowjax_glow.runs.load import Trained, experiment_of


@dataclass(frozen=True, kw_only=True)
class Import(Command):
    """Take over a GLOW that other code has trained, and write it into a model file.

      flowjax-glow import model.pt --layout=rosinality --size=64 --bits=5

    All commands that take a run take the file that comes out. What a state does not show is asked
    for by name. The state is a file of PyTorch, safetensors or .npz; no code in it runs, and
    PyTorch need not be here (docs/import.md).
    """

    state: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="STATE")]
    """The file of the other code."""

    layout: Literal["normflows", "rosinality", "y0ast", "chaiyujin", "glowip", "openai"]
    """The code that wrote it."""

    bits: int
    """The number of bits of the images that it was trained on, 1 to 8."""

    size: str | None = None
    """Height and width of an image, as 32 or 32x48; some layouts tell it."""

    wiring: str | None = None
    """Which form of the layout, where a state does not show it; without it all are listed."""

    range: str | None = None
    """What black and white were to the model, as 0,1; what the public code has if none."""

    label: int | None = None
    """Which class, of a model whose prior knows classes."""

    more: tuple[Path, ...] = ()
    """Files with arrays that the code does not save, such as shuffled orders of channels."""

    data: str | None = None
    """The data set of its images, as `train` takes it: bits/dim are measured and it is noted."""

    output: Path | None = None
    """What to write; STATE with the ending .safetensors if none."""

    overwrite: bool = False
    """Replace a file that is there."""

    def __call__(self) -> None:
        output = self.output or self.state.with_suffix(SUFFIX)
        if output.resolve() == self.state.resolve():
            raise expected(f"{output}", "another file", got="STATE", advice="choose --output")
        if output.exists() and not self.overwrite:
            raise taken(output)
        model = from_checkpoint(
            self.state,
            self.layout,
            n_bits=self.bits,
            size=sides_of(self.size),
            wiring=self.wiring,
            pixel_range=range_of(self.range),
            label=self.label,
            more=self.more,
            dataset=self.data,
        )
        if self.range is None:
            low, high = LAYOUTS[self.layout].pixel_range
            print(f"black is {low:g} and white {high:g} as in {LAYOUTS[self.layout].source}")
        if self.data is not None:
            model = measured(model, output)
        model.save(output, overwrite=self.overwrite)
        print(f"{output}: {model.config}")


def measured(model: Model, path: Path) -> Model:
    """The model, with the bits/dim of held-out images of its data set in its record."""
    height, width, channels = model.event_shape
    shape = (height, width, channels)
    trained = Trained(path, path, experiment_of(model), shape, 0, model.params, None)
    images = held_out(trained.source, usual=HELD_OUT)
    bits = float(model.bits_per_dim(images, HELD_OUT_KEY).mean())
    print(f"{bits:.3f} bits/dim on {len(images)} held-out images ({model.n_bits} bits)")
    if not bits < trained.experiment.n_bits:
        print(
            f"noise has {model.n_bits}: a wrong --bits, --range or --wiring, or other images, give "
            "such numbers",
            file=sys.stderr,
        )
    known = {"bits_per_dim": bits, "held_out_images": len(images)}
    return replace(model, record={**model.record, **known})


def sides_of(text: str | None) -> tuple[int, int] | None:
    """``32`` or ``32x48`` as height and width."""
    if text is None:
        return None
    try:
        height, cross, width = text.partition("x")
        return int(height), int(width if cross else height)
    except ValueError:
        raise expected(
            "--size", "32 or 32x48", got=repr(text), advice="write whole numbers"
        ) from None


def range_of(text: str | None) -> tuple[float, float] | None:
    """``0,1`` as black and white."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high < float("inf"):
        raise expected("--range", "two numbers as 0,1", got=repr(text), advice="black comes first")
    return low, high
