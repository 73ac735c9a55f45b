"""The main job, as a user runs it, at the smoke size: to figures and verdicts."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.sweep import SweepCommand
from flowjax_glow.runs.experiment import read_config
from flowjax_glow.runs.folder import is_complete
from tests.commands.invoke import invoke

#: As it is; and with another wiring, another prior, another scale and pace.
VARIANTS = ("control", "openai-damped")

ROOT = Path(__file__).parents[2]


#: How the tests compile, on one device.
FAST = re.sub(r"--\S+_device_count=\d+", "", os.environ["XLA_FLAGS"])


def start_sweep(output: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "XLA_FLAGS": FAST}
    command = [sys.executable, "-m", "experiments.sweep", "--preset=smoke", f"--output={output}"]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_sweep(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    with start_sweep(output, *arguments) as sweep:
        said = sweep.communicate(timeout=600)
    return subprocess.CompletedProcess(sweep.args, sweep.returncode, *said)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Trained by two shards at a time, and judged by the whole sweep, which trains nothing."""
    output = tmp_path_factory.mktemp("sweep") / "out"
    asked = f"--variant={','.join(VARIANTS)}"
    shards = [start_sweep(output, asked, f"--shard={i}/2", "--jobs=1") for i in (1, 2)]
    for index, shard in enumerate(shards):
        out, err = shard.communicate(timeout=600)
        assert shard.returncode == 0, err
        own = len(VARIANTS[index::2])
        assert f"{own} of {own} runs to do" in err
        assert f"shard {index + 1}/2 is done; the same without --shard judges" in out
        for number, variant in enumerate(VARIANTS):
            assert (f"{variant}-seed0: done" in err) == (number % 2 == index)
    before = modified(output)
    result = run_sweep(output, asked)
    assert result.returncode == 0, result.stderr
    assert "0 of 2 runs to do" in result.stderr
    assert modified(output) == before
    return output, result.stdout


def modified(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
        and "figures" not in path.parts
        and path.name != "lock"
        and path.parent != folder
    }


def test_every_run_is_whole(swept):
    output, _ = swept
    for variant in VARIANTS:
        folder = output / f"{variant}-seed0"
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["status"] == "done"
        assert summary["steps"] == 60
        assert summary["bit_exact"] == 1.0
        assert 1.0 < summary["bits_per_dim"] < 5.0
        assert summary["loss_slope"] < 0
        losses = [
            json.loads(line)["loss"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
            if '"loss"' in line
        ]
        assert len(losses) == 60
        assert sum(losses[-20:]) < sum(losses[:20])


def test_every_figure_is_drawn(swept):
    output, _ = swept
    for number in (1, 3, 4, 5):
        for kind in ("png", "svg", "npz"):
            assert (output / "figures" / f"figure{number}.{kind}").stat().st_size > 0


def test_one_seed_proves_nothing(swept):
    output, _ = swept
    verdicts = json.loads((output / "claims.json").read_text())
    text = json.dumps(verdicts)
    assert '"inconclusive"' in text
    assert '"reproduced"' not in text


def test_the_table_names_every_variant(swept):
    _, printed = swept
    for variant in VARIANTS:
        assert variant in printed


def test_more_steps_go_on_and_another_batch_is_refused(swept):
    output, _ = swept
    finished = read_config(output / "control-seed0")
    assert is_complete(output / "control-seed0", finished)
    more = dataclasses.replace(finished, steps=75)
    assert not is_complete(output / "control-seed0", more)
    options = ("--preset=smoke", f"--output={output}", "--variant=control", "--steps=75")
    code, said = invoke(SweepCommand, *options, "--dry-run")
    assert (code, "control-seed0" in said) == (0, True), said

    options = ("--preset=smoke", f"--output={output}", "--variant=control", "--batch=8")
    code, said = invoke(SweepCommand, *options)
    assert (code, "batch: 16 -> 8" in said) == (2, True), said
