"""`flowjax-glow plan`: what a run will take, before there is anything to run it on."""

import dataclasses
import json
import textwrap
from dataclasses import dataclass
from typing import Annotated

import jax
import tyro

from flowjax_glow.commands.configure import OnOneModel, listing
from flowjax_glow.runs.cost.planning import SECONDS_PER_DAY, Plan, make_plan
from flowjax_glow.runs.cost.time import ON_AN_ACCELERATOR, Devices
from flowjax_glow.runs.images import check_size, image_shape

#: An NVIDIA A100's peak in TF32, which nets multiply in with `net_precision="default"`: TFLOP/s.
PEAK = 156.0

NOTES = (
    "FLOPs are of matrix products and convolutions. Kept: residuals stored between the forward and "
    "the backward pass, as the program is written; what a step needs while it runs comes on top."
)

COMPILED = "Temporary: all that the step holds beside state and batch, as compiled for a CPU."


@dataclass(frozen=True, kw_only=True)
class PlanRun(OnOneModel):
    """Say what a run will take, without an accelerator, without data, without running the model.

      flowjax-glow plan --preset=openai-cifar10 --devices=8
      flowjax-glow plan --size=32 --peak=0.3 --efficiency=0.3    (2 CPU cores)

    Parameters, FLOPs and the memory of every memory policy are counted in the programs that a run
    compiles; the time is what they take at a stated share of a stated peak.
    """

    devices: int = 1
    """Devices that every batch is split over."""

    peak: float = PEAK
    """TFLOP/s of a device; the default is an A100's in TF32."""

    efficiency: float = ON_AN_ACCELERATOR
    """Share of the peak that a step reaches."""

    compiled: Annotated[bool, tyro.conf.arg(name="compile")] = False
    """Compile the steps, too, for a CPU."""

    json: bool = False
    """Print JSON."""

    def __call__(self) -> None:
        jax.config.update("jax_platforms", "cpu")  # before its first use: leave accelerators alone
        if self.list:
            print(listing(self.choices()))
            return
        experiment = self.experiment()
        hardware = Devices(self.devices, self.peak * 1e12, self.efficiency)
        shape = image_shape(experiment)
        check_size(experiment, shape, experiment.model.levels)
        plan = make_plan(experiment, shape, hardware, compiled=self.compiled)
        print(to_json(plan) if self.json else to_text(plan, self.preset))


def to_json(plan: Plan) -> str:
    """All of it, bytes and FLOPs as they are."""
    return json.dumps(dataclasses.asdict(plan), indent=2)


def to_text(plan: Plan, preset: str = "") -> str:
    """All of it for a reader; the policy of the preset has a star."""
    height, width, channels = plan.shape
    devices = plan.devices
    compiled = any(policy.temporary_bytes is not None for policy in plan.policies)
    start = f"{preset}: " if preset else ""
    about = [
        f"{start}{height}x{width}x{channels} images of {plan.dataset}, batches of {plan.batch} on "
        f"{devices.count} device{'s' * (devices.count > 1)} "
        f"({plan.batch // devices.count} each), {plan.steps:,} steps",
        f"{plan.parameters:,} parameters, {size(plan.parameter_bytes)}; with optimizer and "
        f"average {size(plan.state_bytes)} on every device",
    ]
    notes = [
        f"Time at {devices.efficiency:.0%} of a peak of {devices.peak / 1e12:g} TFLOP/s per "
        "device, looks included, communication not counted.",
        NOTES,
        *([COMPILED] if compiled else []),
    ]
    about, notes = ([textwrap.fill(line, 80) for line in lines] for lines in (about, notes))
    return "\n".join([*about, "", *_table(plan, compiled), "", *notes])


def _table(plan: Plan, compiled: bool) -> list[str]:
    """One line per policy under a heading."""
    heading = ["memory", "GFLOP/image", "GFLOP/image", "kept", "temporary", "steps", "time"]
    second = ["", "forward", "train step", "per device", "per device", "per s", ""]
    rows = [heading, second]
    for policy in plan.policies:
        star = "*" if policy.memory == plan.memory else ""
        rows.append(
            [
                policy.memory + star,
                f"{policy.forward_flops / 1e9:.3f}",
                f"{policy.train_flops / 1e9:.3f}",
                size(policy.residual_bytes),
                size(policy.temporary_bytes or 0),
                f"{policy.steps_per_second:.1f}",
                duration(policy.days * SECONDS_PER_DAY),
            ]
        )
    if not compiled:
        rows = [[*row[:4], *row[5:]] for row in rows]
    return [
        f"{first:<8}" + "".join(f"{cell:>12}" for cell in rest).rstrip() for first, *rest in rows
    ]


def duration(seconds: float) -> str:
    """A time in the unit that suits it: ``26 s``, ``3.1 min``, ``1.2 h``, ``12 days``."""
    units = {"days": 2 * SECONDS_PER_DAY, "h": 3600, "min": 60, "s": 0}
    unit = next(unit for unit, least in units.items() if seconds >= least)
    number = seconds / {"days": SECONDS_PER_DAY, "s": 1}.get(unit, units[unit])
    return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}"


def size(count: float) -> str:
    """Bytes in the unit that suits them: ``6.2 MiB``, ``16.8 GiB``."""
    unit, name = (2**20, "MiB") if count < 1000 * 2**20 else (2**30, "GiB")
    return f"{count / unit:,.1f} {name}"
