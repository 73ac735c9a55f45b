"""The benchmark of batches: what it prints."""

import re

from benchmarks.pipeline import main


def test_batches_are_compared_with_the_step_they_are_for(capsys):
    main(["--quick", "--images", "30", "--rounds", "2"])
    printed = capsys.readouterr().out
    assert re.search(r"^step +[\d.]+ ms +100.00% of a step$", printed, re.M)
    assert re.search(r"^photos +[\d.]+ ms +[\d.]+% of a step$", printed, re.M)
    assert re.search(r"^folder of 30 +[\d.]+ ms +[\d.]+% of a step$", printed, re.M)
