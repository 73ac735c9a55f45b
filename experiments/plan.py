"""Says what a run will take, without an accelerator, without data, without running the model.

    python -m experiments.plan --preset=openai-cifar10 --devices=8

Parameters, FLOPs and the memory of every memory policy are counted in the programs that a run
compiles; the time is what they take at a stated share of a stated peak. docs/plan.md reads one.
"""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flowjax_glow.runs.cost.planning import Plan

#: An NVIDIA A100's peak in TF32, which nets multiply in with `net_precision="default"`: TFLOP/s.
PEAK = 156.0

NOTES = """\
FLOPs are of matrix products and convolutions. Kept: residuals stored between the forward and the
backward pass, as the program is written; what a step needs while it runs comes on top."""

COMPILED = "Temporary: all that the step holds beside state and batch, as compiled for a CPU."


@click.command(context_settings={"max_content_width": 100})
@click.option("--preset", default="openai-cifar10", show_default=True, help="Sizes and recipe.")
@click.option("--dataset", help="As of experiments.sweep; it need not be there.")
@click.option("--size", type=int, help="Side of the images in pixels.")
@click.option("--steps", type=int, help="Training steps.")
@click.option("--batch", type=int, help="Images per step, over all devices.")
@click.option("--devices", type=int, default=1, show_default=True, help="Devices for each batch.")
@click.option("--peak", default=PEAK, show_default=True, help="TFLOP/s of a device (A100, TF32).")
@click.option("--efficiency", default=0.3, show_default=True, help="Share of the peak reached.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the steps, too, for a CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    devices: int,
    peak: float,
    efficiency: float,
    compiled: bool,
    as_json: bool,
    debug: bool,
    **choices: Any,
) -> None:
    """Count parameters, FLOPs and memory of a preset, and the days it takes."""
    import jax

    jax.config.update("jax_platforms", "cpu")  # before its first use: leave accelerators alone
    from experiments import command
    from experiments.exit_codes import one_line_errors
    from flowjax_glow.runs.cost import planning

    with one_line_errors(debug):
        sweep = command.choose(variant="control", **choices)
        hardware = planning.Devices(devices, peak * 1e12, efficiency)
        plan = planning.make_plan(sweep.control, sweep.shape(), hardware, compiled=compiled)
        click.echo(to_json(plan) if as_json else f"{sweep.preset}: {to_text(plan)}")


def to_json(plan: "Plan") -> str:
    """All of it, bytes and FLOPs as they are."""
    import dataclasses

    return json.dumps(dataclasses.asdict(plan), indent=2)


def to_text(plan: "Plan") -> str:
    """All of it for a reader; the policy of the preset has a star."""
    height, width, channels = plan.shape
    devices = plan.devices
    compiled = any(policy.temporary_bytes is not None for policy in plan.policies)
    lines = [
        f"{height}x{width}x{channels} images of {plan.dataset}, batches of {plan.batch} on "
        f"{devices.count} devices ({plan.batch // devices.count} each), {plan.steps:,} steps",
        f"{plan.parameters:,} parameters, {_mebibytes(plan.parameter_bytes)}; with optimizer and "
        f"average {_mebibytes(plan.state_bytes)} on every device",
        "",
        *_table(plan, compiled),
        "",
        f"Time at {devices.efficiency:.0%} of a peak of {devices.peak / 1e12:g} TFLOP/s per "
        "device, training alone, communication not counted.",
        NOTES,
    ]
    return "\n".join([*lines, COMPILED] if compiled else lines)


def _table(plan: "Plan", compiled: bool) -> list[str]:
    """One line per policy under a heading."""
    heading = ["memory", "GFLOP/image", "GFLOP/image", "kept", "temporary", "steps", "days"]
    second = ["", "forward", "train step", "per device", "per device", "per s", ""]
    rows = [heading, second]
    for policy in plan.policies:
        star = "*" if policy.memory == plan.memory else ""
        rows.append(
            [
                policy.memory + star,
                f"{policy.forward_flops / 1e9:.3f}",
                f"{policy.train_flops / 1e9:.3f}",
                _mebibytes(policy.residual_bytes),
                _mebibytes(policy.temporary_bytes or 0),
                f"{policy.steps_per_second:.1f}",
                f"{policy.days:.3g}",
            ]
        )
    if not compiled:
        rows = [[*row[:4], *row[5:]] for row in rows]
    return [
        f"{first:<8}" + "".join(f"{cell:>13}" for cell in rest).rstrip() for first, *rest in rows
    ]


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


if __name__ == "__main__":
    main()
