"""`flowjax-glow export`: a trained run as one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from flowjax_glow.commands.command import Command
from flowjax_glow.errors import expected
from flowjax_glow.export import check_can_export, export_programs
from flowjax_glow.files import write_atomically
from flowjax_glow.model_file import taken
from flowjax_glow.runs.exporting import model_of
from flowjax_glow.runs.load import load_trained, model_paths


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Write a trained model into one file, which needs neither the run nor its data.

      flowjax-glow export runs/digits digits.safetensors --card=card.md

    The file has the parameters, the configuration, what is known of the training, and what
    `diagnose` last said of these parameters (docs/models.md). All commands that take a run take
    it, and Model.load does in Python.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, or a model file."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """What to write."""

    averaged: bool = False
    """Take the moving average of the parameters."""

    card: Path | None = None
    """Write a model card in Markdown, too; the Hugging Face hub shows one called README.md."""

    programs: Path | None = None
    """Write compiled programs, too, which run without this library (docs/models.md)."""

    overwrite: bool = False
    """Replace files that are there."""

    def __call__(self) -> None:
        if self.run not in model_paths(self.run):
            raise expected(
                f"{self.run}", "a run folder", got="one of many", advice="name one run in it"
            )
        if self.programs is not None:
            check_can_export()
        for file in (self.card, self.programs):
            if file is not None and file.exists() and not self.overwrite:
                raise taken(file)
        model = model_of(load_trained(self.run), self.averaged)
        model.save(self.file, overwrite=self.overwrite)
        print(self.file)
        if self.card is not None:
            write_atomically(self.card, model.card(self.file.name))
            print(self.card)
        if self.programs is not None:
            export_programs(model, self.programs, overwrite=self.overwrite)
            print(self.programs)
