"""The images of an experiment: where they come from, their shape, and how many there are."""

import dataclasses

from flowjax_glow import data
from flowjax_glow.data import DataError
from flowjax_glow.data.indexed import IndexedSource
from flowjax_glow.runs.experiment import Experiment


def source_of(experiment: Experiment) -> data.Source:
    """The data set of an experiment, at its size.

    Raises:
        DataError: if it is not here, or cannot be read.
    """
    return data.load(experiment.dataset, size=experiment.image_size)


def image_shape(experiment: Experiment) -> tuple[int, int, int]:
    """``(height, width, channels)``; of a data set that is not here, the experiment's, in color.

    Raises:
        DataError: if it is not here and the experiment does not say its size.
    """
    try:
        return source_of(experiment).shape
    except DataError:
        if experiment.image_size is None:
            raise
        return (experiment.image_size, experiment.image_size, 3)


def fit_to_data(experiment: Experiment, source: data.Source) -> Experiment:
    """`experiment` with no more held-out images than a small data set has, in whole chunks.

    Raises:
        DataError: if it has fewer than a chunk of them.
    """
    available = source.count("test") if isinstance(source, IndexedSource) else experiment.held_out
    held_out = min(experiment.held_out, available) // experiment.chunk * experiment.chunk
    if not held_out:
        raise DataError(
            f"{source.name}: expected at least {experiment.chunk} test images, got {available}; "
            "add images or choose another data set"
        )
    clip_samples = min(experiment.clip_samples, held_out)
    return dataclasses.replace(experiment, held_out=held_out, clip_samples=clip_samples)
