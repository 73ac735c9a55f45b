"""One of two processes that train together: PORT INDEX FOLDER STEPS.

With STEPS of 0 they train until the second sends itself SIGTERM. Exits as commands do, and prints
the step that was reached.
"""

import os
import signal
import sys
from pathlib import Path

import jax

ENDLESS = 10**9


def main() -> int:
    port, index, folder, steps = sys.argv[1:]
    jax.distributed.initialize(
        f"127.0.0.1:{port}", num_processes=2, process_id=int(index), heartbeat_timeout_seconds=10
    )
    from flowjax_glow.training import Checkpoints, Preempted, Preemption, data_mesh, train
    from tests.training import toy

    half = toy.BATCH // 2
    share = slice(half * int(index), half * (int(index) + 1))

    def batches(step):
        if step == 20 and steps == "0" and index == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return toy.batch(step)[share]

    mesh, start = data_mesh(), toy.start()
    with Checkpoints(Path(folder)) as saved, Preemption() as preemption:
        state = saved.restore(start) or start
        try:
            state = train(
                state,
                toy.make_step(mesh),
                batches,
                steps=int(steps) or ENDLESS,
                mesh=mesh,
                checkpoints=saved,
                preemption=preemption,
            )
        except Preempted as ended:
            print(ended.step)
            return 75
    print(int(state.step))
    return 0


if __name__ == "__main__":
    sys.exit(main())
