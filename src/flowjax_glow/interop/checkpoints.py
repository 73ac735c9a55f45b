"""`from_checkpoint`: a GLOW that other code has trained and saved, as a `Model`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from flowjax_glow.config import glow
from flowjax_glow.errors import check_choice, expected
from flowjax_glow.interop.converting import Converting
from flowjax_glow.interop.layouts import LAYOUTS, Layout, Wiring
from flowjax_glow.interop.reading import Reading, some, step_names
from flowjax_glow.interop.states import State, read_states
from flowjax_glow.model import Model
from flowjax_glow.model_file import abstract_params
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.trainable import named_leaves
from flowjax_glow.types import Params


def from_checkpoint(
    path: str | os.PathLike[str],
    layout: str,
    *,
    n_bits: int,
    size: int | tuple[int, int] | None = None,
    wiring: str | None = None,
    pixel_range: tuple[float, float] | None = None,
    label: int | None = None,
    more: Sequence[str | os.PathLike[str]] = (),
    dataset: str | None = None,
) -> Model:
    """The model in a file of PyTorch, safetensors or .npz, whose arrays are called as in `layout`.

    It computes what the other code does, from images to latents and back, up to rounding; its
    latents are standardized by the other code's prior. Matrices in LU form become dense ones. A
    state of float64 stays so where `jax_enable_x64` is set. No code of the file runs, and PyTorch
    need not be there.

    What a state does not show is asked for, by the name of the argument:

    Args:
        path: of the state, alone or within a checkpoint.
        layout: one of `LAYOUTS`.
        n_bits: of the images that the model was trained on.
        size: of an image, height and width or one number for both; some layouts tell it.
        wiring: which form of the layout it is, where there are more.
        pixel_range: what black and white were to the model: (0, 1), or (-0.5, 0.5). Without it what
            the public code has.
        label: which class, of a model whose prior knows classes.
        more: files with arrays that the code does not save, as shuffled orders of channels.
        dataset: as `flowjax_glow.data.load` takes it, for the record.

    Raises:
        ValueError: if the file is no state of that layout, has an array that the layout has no
            place for, or lacks one; or if something must be said that was not.
        OSError: if a file cannot be opened.
    """
    check_choice("from_checkpoint: layout", layout, tuple(LAYOUTS))
    where, rows = os.fspath(path), LAYOUTS[layout]
    arrays = dict(_state_of(where, rows, read_states(path)))
    for each in more:
        arrays |= {name: array for state in read_states(each) for name, array in state.items()}
    reading = Reading(where, rows, arrays)
    names = step_names(rows, arrays)
    channels = np.size(arrays[names[0][0] + rows.norm[0]]) // 4
    height, width = _size(reading, len(names), size)
    chosen = _wiring(reading, names[0][0], 4 * channels, wiring)
    shape, low_high = (height, width, channels), pixel_range or rows.pixel_range
    config, exact = _converted(Converting(reading, shape, chosen, low_high, label))
    about = {"layout": layout, "pixel_range": list(low_high), "wiring": wiring, "label": label}
    record: dict[str, Any] = {"imported": {name: v for name, v in about.items() if v is not None}}
    if dataset is not None:
        side = height if height == width else None
        record["experiment"] = {"variant": layout, "dataset": dataset, "image_size": side}
    wide = any(array.dtype == np.float64 for array in arrays.values())
    dtype = "float64" if wide and jax.config.values["jax_enable_x64"] else "float32"
    params = _fitted(where, abstract_params(glow(config), shape, dtype), exact)
    return Model(config, params, shape, n_bits, record)


def _converted(converting: Converting) -> tuple[PortedGlowConfig, Params]:
    where = converting.reading.where
    try:
        return converting.converted()
    except (ValueError, IndexError) as error:  # NumPy's name no array
        if str(error).startswith(where):
            raise
        raise expected(
            where,
            "arrays whose shapes fit each other",
            got=f"{error}",
            advice="check that the state is whole and of this layout",
        ) from error


def _state_of(where: str, layout: Layout, states: Sequence[State]) -> State:
    """The state of that layout among all of a checkpoint, without what its names have before."""
    for state in states:
        if (found := _without_prefix(layout, state)) is not None:
            return found
    others = [
        name
        for name, each in LAYOUTS.items()
        if any(_without_prefix(each, state) is not None for state in states)
    ]
    names = [name for state in states for name in state]
    raise expected(
        where,
        f"an array called {_anchor(layout)}, as of {layout.source}",
        got=some(names) if names else "no arrays",
        advice=f"these are names of {' or '.join(others)}" if others else "check the layout",
    )


def _without_prefix(layout: Layout, state: State) -> State | None:
    """As ``module.`` of `DataParallel`, or ``:0`` of TensorFlow's variables."""
    plain = {name.removesuffix(":0"): array for name, array in state.items()}
    anchor = _anchor(layout)
    for name in plain:
        before = name.removesuffix(anchor)
        if name.endswith(anchor) and (not before or before[-1] in "./"):
            own = {n.removeprefix(before): a for n, a in plain.items() if n.startswith(before)}
            if any(net.last.kernel in n for net in layout.nets for n in own):
                return own
    return None


def _anchor(layout: Layout) -> str:
    """The name of an array that every state of a layout has."""
    return layout.step.format(level=0, step=0, place=1) + layout.norm[0]


def _size(reading: Reading, levels: int, size: int | tuple[int, int] | None) -> tuple[int, int]:
    """Height and width, as given or as the state tells."""
    told = _told_size(reading, levels)
    given = (size, size) if isinstance(size, int) else size
    advice = f"it is divided by {2**levels}, in {levels} levels"
    if given is None and told is None:
        advice = f"a state of this layout does not tell it; {advice}"
        raise expected(f"{reading.where}: --size", "height and width", got="none", advice=advice)
    if given is not None and told not in (None, given):
        raise expected(f"{reading.where}: --size", f"{told}, as of the state", got=given, advice="")
    height, width = given or told or (0, 0)
    if height < 1 or width < 1 or height % 2**levels or width % 2**levels:
        what = f"multiples of {2**levels}"
        raise expected(f"{reading.where}: --size", what, got=(height, width), advice=advice)
    return height, width


def _told_size(reading: Reading, levels: int) -> tuple[int, int] | None:
    """From a prior of the last level that has a number for every place, if there is one."""
    shape = np.shape(reading.arrays.get(reading.layout.sized, ()))
    if len(shape) != 4 or f"{reading.layout.sized}_logs" in reading:  # of normflows' GlowBase
        return None
    # (1 or a batch, channels, height, width), but normflows' classes come last, and no batch first
    of_classes = reading.layout.split_conv is None and shape[0] > 1
    sides = shape[1:3] if of_classes else shape[2:]
    return sides[0] << levels, sides[1] << levels


def _wiring(reading: Reading, prefix: str, channels: int, name: str | None) -> Wiring:
    """The one that is called so; asked for where the state does not show it."""
    layout = reading.layout
    last = next(
        np.shape(reading.arrays[prefix + net.last.bias])
        for net in layout.nets
        if prefix + net.last.bias in reading
    )
    asked = {
        "all": True,
        "affine": 2 * np.prod(last) > channels,
        "no matrix": not any(
            prefix + known in reading
            for known in (layout.dense, layout.lu.lower if layout.lu else layout.dense)
        ),
    }[layout.wired]
    known = layout.wirings if asked else {}
    if name in known:
        return known[name]
    if known or name is not None:
        choices = "; ".join(f"{each} ({wiring.meaning})" for each, wiring in known.items())
        raise expected(
            f"{reading.where}: --wiring",
            f"one of {choices}" if known else "none, as the state tells all",
            got=name or "none",
            advice="a state does not tell it" if known else "leave it out",
        )
    return Wiring("as the state tells")


def _fitted(where: str, wanted: Params, exact: Params) -> Params:
    """Parameters in the dtypes of the flow.

    Raises:
        ValueError: if one is of another shape.
    """
    shapes, found = named_leaves(wanted), named_leaves(exact)
    for name, own, got in _differences(shapes, found):
        advice = "check size and layout, and that the state is whole"
        raise expected(f"{where}: {name}", f"shape {own}", got=got, advice=advice)
    made = [np.asarray(found[name], leaf.dtype) for name, leaf in shapes.items()]
    return jax.tree.unflatten(jax.tree.structure(wanted), made)


def _differences(
    wanted: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*wanted, *found}):
        own, got = (getattr(each.get(name), "shape", "none") for each in (wanted, found))
        if own != got:
            yield name, own, got
