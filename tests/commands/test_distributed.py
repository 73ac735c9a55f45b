"""``flowjax-glow train --distributed``: two processes, one run folder, one voice."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from flowjax_glow.commands import distributed
from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import to_json
from flowjax_glow.runs.folder import FolderInUseError
from flowjax_glow.runs.images import source_of
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.run import Training
from flowjax_glow.training import read_metrics
from tests.commands.invoke import invoke
from tests.runs.tiny import TINY

#: Seconds after which something hangs.
PATIENCE = 300


def launch(config, output, *further, devices=1):
    """Two processes under way, as SLURM starts them: it alone tells each which it is."""
    flags = re.sub(r"(device_count)=\d+", rf"\1={devices}", os.environ["XLA_FLAGS"])
    command = [
        *(sys.executable, "-m", "flowjax_glow", "train", "--distributed"),
        *(f"--config={config}", f"--output={output}", *further),
    ]
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(sys.path)}
    job = {
        "SLURM_JOB_ID": str(free_port() - SLURM_PORTS),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
    }
    return [
        subprocess.Popen(
            command,
            env={**environment, **job, "SLURM_PROCID": index, "SLURM_LOCALID": index},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in "01"
    ]


#: JAX takes the port that is as much above this one as the job's number.
SLURM_PORTS = 65536 - 4096


def free_port():
    for port in range(SLURM_PORTS + os.getpid() % 4000, 65536):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def ended(processes):
    """Their exit codes, and what each has said."""
    try:
        said = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


@pytest.fixture
def config(tmp_path):
    folder = tmp_path / "config"
    folder.mkdir()
    write_json(folder / "config.json", to_json(TINY))
    return folder


def test_a_signal_to_one_ends_both_with_one_save(tmp_path, config):
    output = tmp_path / "run"
    endless = launch(config, output, "--steps=1000000")
    assert endless[0].stderr is not None
    for line in endless[0].stderr:
        if "step" in line:  # the progress of the first
            break
    endless[1].send_signal(signal.SIGTERM)
    codes, said = ended(endless)
    assert codes == [75, 75], said
    (step,) = [int(path.name) for path in (output / "checkpoints").iterdir()]
    assert f"saved at step {step}; the same command goes on" in said[0][1]
    for line in ("steps", "photos", "warning", "judges"):
        assert line not in said[1][0] + said[1][1]
    rows = read_metrics(output / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, step + 1))
    assert load_trained(output).step == step  # by one process


def test_the_shares_of_a_batch_are_the_batch(monkeypatch):
    training, source = Training(TINY), source_of(TINY)
    whole = training.batch(source, 3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    shares = []
    for index in range(2):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        shares.append(training.batch(source, 3))
    np.testing.assert_array_equal(np.concatenate(shares), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--processes=2"], "--coordinator, --processes, --process: expected --distributed beside"),
        (
            ["--distributed"],
            "--distributed: expected a job of SLURM, Open MPI or Kubernetes, got n",
        ),
    ],
)
def test_options_that_lack_others_are_told(tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(jax.distributed, "initialize", nobody)  # as outside of any such job
    code, output = invoke("train", "--data=digits", f"--output={tmp_path}", *options)
    assert (code, message in output) == (2, True), output


def test_what_no_job_tells_is_said_on_the_command_line(monkeypatch):
    given = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *told, **_: given.append(told))
    distributed.join("127.0.0.1:8080", 2, 1)
    assert given == [("127.0.0.1:8080", 2, 1)]


def nobody(*arguments, **options):
    raise ValueError("coordinator_address should be defined.")


def test_a_folder_that_is_held_ends_every_process(tmp_path, monkeypatch):
    """The first says who holds it; the others only know that it cannot have it."""
    monkeypatch.setattr(distributed, "is_first", lambda: False)
    monkeypatch.setattr(distributed, "told_by_first", lambda fact: True)
    refused = pytest.raises(FolderInUseError, match="the first process can hold")
    with refused, distributed.taken(tmp_path):
        pass
