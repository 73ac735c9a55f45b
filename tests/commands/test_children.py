"""Runs as child processes: what a child does reaches nobody else."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from flowjax_glow.commands import children
from flowjax_glow.commands.children import Ended, Job, Machine, machine, run_in_children
from flowjax_glow.commands.errors import IN_USE, PREEMPTED
from flowjax_glow.runs.experiment import to_json
from flowjax_glow.runs.folder import claimed
from flowjax_glow.runs.presets import SMOKE
from tests.commands import pretending_child as pretend

ROOT = Path(__file__).parents[2]
CPU = Machine("cpu", 1)


@pytest.fixture
def pretending(monkeypatch: pytest.MonkeyPatch) -> None:
    child = (sys.executable, str(Path(__file__).with_name("pretending_child.py")))
    monkeypatch.setattr(children, "CHILD", child)


def jobs(folder: Path, *seeds: int) -> list[Job]:
    return [Job(dataclasses.replace(SMOKE, seed=seed), folder / str(seed)) for seed in seeds]


def status(job: Job) -> str:
    return json.loads((job.folder / "status.json").read_text())["status"]


@pytest.mark.usefixtures("pretending")
def test_every_job_ends_as_it_does_whatever_the_others_do(tmp_path, capfd):
    todo = jobs(tmp_path, pretend.ABORTS, pretend.DONE, pretend.FAILS, pretend.DIVERGED)
    ended = set(run_in_children(todo, CPU, 2))
    aborts, done, fails, diverged = todo
    assert ended == {
        Ended(aborts, "failed"),
        Ended(done, "done"),
        Ended(fails, "failed"),
        Ended(diverged, "diverged"),
    }
    assert status(aborts) == status(fails) == "failed"
    shown = capfd.readouterr().err
    assert "2: something inside gives way" in shown
    assert "2: its process was ended by signal 6" in shown
    assert "0: step 1/60, hello" in shown
    assert "(4 of 4)" in shown


@pytest.mark.usefixtures("pretending")
def test_what_is_finished_takes_no_process(tmp_path, monkeypatch):
    todo = jobs(tmp_path, pretend.DONE)
    assert list(run_in_children(todo, CPU)) == [Ended(todo[0], "done")]
    monkeypatch.setattr(children, "CHILD", ("/nowhere",))
    assert list(run_in_children(todo, CPU)) == [Ended(todo[0], "done")]


@pytest.mark.usefixtures("pretending")
def test_a_complaint_ends_the_sweep_with_its_code(tmp_path, capfd):
    todo = jobs(tmp_path, pretend.WAITS, pretend.COMPLAINS)
    with pytest.raises(SystemExit) as raised:
        list(run_in_children(todo, CPU, 2))
    assert raised.value.code == 3
    assert "4: error: no such data" in capfd.readouterr().err
    assert status(todo[0]) == "failed"  # ended, too


@pytest.mark.usefixtures("pretending")
def test_leaving_ends_what_is_under_way(tmp_path):
    todo = jobs(tmp_path, pretend.DONE, pretend.WAITS)
    start = time.monotonic()
    with closing(run_in_children(todo, CPU, 2)) as ended:
        assert next(ended) == Ended(todo[0], "done")
        while not (todo[1].folder / "environment.json").exists():
            time.sleep(0.05)
    assert time.monotonic() - start < 60
    assert status(todo[1]) == "failed"


@pytest.mark.parametrize(("on", "threads"), [(CPU, "1"), (Machine("gpu", 1), None)])
@pytest.mark.usefixtures("pretending")
def test_children_on_the_cpu_have_one_thread(tmp_path, monkeypatch, on, threads):
    monkeypatch.delenv("NPROC", raising=False)
    (job,) = jobs(tmp_path, pretend.DONE)
    list(run_in_children([job], on, brief=True))
    environment = json.loads((job.folder / "environment.json").read_text())
    assert environment.get("NPROC") == threads
    assert environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"


def test_accelerators_take_one_run_at_a_time():
    assert Machine("gpu", 8).jobs == 1
    assert Machine("cpu", 1).jobs == len(os.sched_getaffinity(0))


def test_the_machine_is_asked_elsewhere():
    assert machine() == Machine("cpu", 8)  # tests simulate eight devices


#: Small enough to be trained three times, with more reports than the pipe below takes.
TINY = dataclasses.replace(
    SMOKE,
    model=dataclasses.replace(SMOKE.model, levels=1, depth=1, width=4),
    steps=150,
    save_every=1000,
    look_every=1000,
    monitor_every=1000,
    batch=8,
    init_images=16,
    held_out=8,
    look_samples=8,
    final_samples=8,
    clip_samples=8,
    chunk=8,
)


def child(folder: Path) -> "subprocess.Popen[str]":
    """A real one, with its order; it waits until its reports are read."""
    started = subprocess.Popen(
        children.CHILD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        pipesize=4096,
    )
    assert started.stdin is not None
    order = {"experiment": to_json(TINY), "folder": str(folder), "seconds": 0.0}
    started.stdin.write(json.dumps(order) + "\n")
    started.stdin.flush()
    return started


def test_a_child_ends_with_its_parent_after_a_save_and_goes_on_to_the_bit(tmp_path):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    with child(folder) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("\x1e"):
                break
        first.stdin.close()  # as it is when the parent is no more
        first.stdout.read()
        assert first.wait(60) == PREEMPTED
    told = json.loads((folder / "status.json").read_text())
    assert told["status"] == "preempted"
    assert 0 < told["step"] < TINY.steps
    assert (folder / "checkpoints" / str(told["step"])).is_dir()
    for place in (folder, whole):
        with child(place) as again:
            assert again.stdout is not None
            again.stdout.read()
            assert again.wait(60) == 0
    assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    marks = [
        place / "checkpoints" / str(TINY.steps) / "leaves/metadata" for place in (folder, whole)
    ]
    assert marks[0].read_bytes() == marks[1].read_bytes()


def test_a_signal_to_the_sweep_reaches_its_runs_which_save(tmp_path):
    output = tmp_path / "out"
    sizes = ("--set=model.levels=1", "--steps=100000")
    command = ["--preset=smoke", "--variant=control", *sizes, f"--output={output}"]
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.sweep", *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as sweep:
        assert sweep.stderr is not None
        for line in sweep.stderr:
            if "step" in line:
                break
        sweep.terminate()
        said = sweep.stderr.read()
        assert sweep.wait(60) == PREEMPTED
    assert "told to end; the same command goes on" in said
    told = json.loads((output / "control-seed0" / "status.json").read_text())
    assert told["status"] == "preempted"
    assert (output / "control-seed0/checkpoints" / str(told["step"])).is_dir()


def test_a_run_that_another_works_on_is_not_taken(tmp_path, capfd):
    (job,) = [Job(TINY, tmp_path / "run")]
    job.folder.mkdir()
    (job.folder / "status.json").write_text('{"status": "running", "step": 3, "seconds": 1}')
    with claimed(job.folder), pytest.raises(SystemExit) as raised:
        list(run_in_children([job], CPU, 1))
    assert raised.value.code == IN_USE
    assert f"got one held by process {os.getpid()}" in capfd.readouterr().err
    assert status(job) == "running"  # as its owner left it
