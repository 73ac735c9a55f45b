"""`flowjax-glow attack`: searches for points where the inverse of a trained model fails."""

from dataclasses import dataclass

from tyro.conf import UseAppendAction

from flowjax_glow.commands.command import OnModels, check_temperature
from flowjax_glow.diagnostics import attack, out_of_distribution
from flowjax_glow.diagnostics.searches import OBJECTIVES
from flowjax_glow.errors import check_choice, check_count, check_seed
from flowjax_glow.files import write_json
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.load import trained_models


@dataclass(frozen=True, kw_only=True)
class Attack(OnModels):
    """Search for points where the inverse of trained models fails.

    Prints what searches find within the bins of held-out images and around samples, beside as many
    random points, and round trips of images of other kinds. Writes both as RUN/attack/STEP.json;
    options other than the defaults join the name.
    """

    count: int = 64
    """Held-out images to start from."""

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    objective: UseAppendAction[tuple[str, ...]] = ()
    """What a search climbs; may be repeated; all four by default."""

    steps: int = 20
    """The number of steps of every search."""

    temperature: float = 1.0
    """The temperature of the samples."""

    seed: int = 0
    """The seed of samples and searches."""

    def __call__(self) -> None:
        check_count("--count", self.count)
        check_temperature(self.temperature)
        check_count("--steps", self.steps)
        check_seed("--seed", self.seed)
        for objective in self.objective:
            check_choice("--objective", objective, tuple(OBJECTIVES))
        keep_compiled_programs()
        for trained in trained_models(self.run):
            flow, n_bits = trained.flow, trained.experiment.n_bits
            file = self.file(trained.folder, "attack", f"{trained.step:06}")
            params, pixels = trained.given_images(self.data, self.count)
            found = attack(
                flow,
                params,
                pixels,
                n_bits=n_bits,
                objectives=self.objective or None,
                steps=self.steps,
                temperature=self.temperature,
                seed=self.seed,
            )
            unusual = out_of_distribution(flow, params, pixels, n_bits=n_bits, seed=self.seed)
            about = {
                "images": self.data or trained.experiment.dataset,
                "count": self.count,
                "steps": self.steps,
                "temperature": self.temperature,
                "seed": self.seed,
            }
            tables = {"searches": found.to_json(), "other_images": unusual.to_json()}
            write_json(file, {**about, **tables})
            print(f"{trained.path}\n{found}\n\n{unusual}\n  {file}\n")
