"""Two processes that train together: a signal to one ends both, and both go on."""

import os
import re
import socket
import subprocess
import sys

import jax

from flowjax_glow.training import read_checkpoint, train
from tests.training import toy

#: Seconds after which something hangs.
PATIENCE = 300


def launch(folder, steps=0):
    """Exit codes and the steps reached by two processes with a device each."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    flags = re.sub(r"(device_count)=\d+", r"\1=1", os.environ["XLA_FLAGS"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": flags}
    command = [sys.executable, "-m", "tests.training.two_processes"]
    started = [
        subprocess.Popen(
            [*command, *map(str, (port, index, folder, steps))],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], [int(each.split()[-1]) for each in said]


def test_a_signal_to_one_of_two_ends_both_with_a_save_and_both_go_on(tmp_path):
    codes, (step, other) = launch(tmp_path)
    assert codes == [75, 75]
    assert step == other >= 20
    assert (tmp_path / str(step)).is_dir()
    assert launch(tmp_path, steps=step + 5) == ([0, 0], [step + 5] * 2)
    mesh = toy.mesh_of(2)
    alone = train(toy.start(mesh), toy.make_step(mesh), toy.batch, steps=step + 5, mesh=mesh)
    toy.assert_equal(read_checkpoint(tmp_path, jax.eval_shape(toy.start)), alone)
