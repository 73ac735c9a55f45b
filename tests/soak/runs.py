"""The run that the soak kills, damages and reads: digits, a small model, a save at every step."""

import dataclasses
from functools import partial
from pathlib import Path

from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import Experiment, to_json
from flowjax_glow.runs.run import Training
from flowjax_glow.training import TrainState
from tests.runs.tiny import TINY
from tests.soak.attempts import Command, flowjax_glow


def saving(steps: int, width: int = 4) -> Experiment:
    """Saves at every step and looks at nothing in between."""
    return dataclasses.replace(
        TINY,
        model=dataclasses.replace(TINY.model, width=width),
        steps=steps,
        save_every=1,
        look_every=steps,
        monitor_every=steps,
    )


def command(experiment: Experiment, place: Path) -> Command:
    """``flowjax-glow train`` of an experiment, whose configuration it writes into `place`."""
    config = place / "config"
    config.mkdir()
    write_json(config / "config.json", to_json(experiment))
    return partial(flowjax_glow, ["train", f"--config={config}", "--output=FOLDER"])


def example(experiment: Experiment) -> TrainState:
    """A state of an experiment, to read others by."""
    from flowjax_glow.runs.images import source_of

    return Training(experiment).start(source_of(experiment))
