"""The benchmarks of batches: what they print, and what they leave as it was."""

import re

from PIL import Image

from benchmarks.decoding import Decoding, describe
from benchmarks.pipeline import main
from flowjax_glow.data.threads import cores


def test_batches_are_compared_with_the_step_they_are_for(capsys):
    main(["--quick", "--only", "steps", "--images", "30", "--rounds", "2"])
    printed = capsys.readouterr().out
    assert re.search(r"^step +[\d.]+ ms +100.00% of a step$", printed, re.M)
    assert re.search(r"^photos +[\d.]+ ms +[\d.]+% of a step$", printed, re.M)
    assert re.search(r"^folder of 30 +[\d.]+ ms +[\d.]+% of a step$", printed, re.M)


def test_files_are_decoded_by_processor_time(capsys):
    allowed = cores()
    main(["--quick", "--only", "decoding"])
    printed = capsys.readouterr().out
    for files in ("JPEG 64x64", "JPEG 64x64, decoder left out", "JPEG 128x128", "npz, .*"):
        assert re.search(rf"^{files} +1 +[\d.]+ +[\d,]+$", printed, re.M)
    assert "On paper 16 cores decode" in printed
    assert cores() == allowed
    assert "jpeg" not in Image.DECODERS


def test_on_paper_python_is_one_thread_and_the_rest_is_on_every_core():
    rows = [
        Decoding("JPEG 64x64, decoder left out", 1, 50e-6, 1.0),
        Decoding("JPEG 128x128", 1, 400e-6, 1.0),
        Decoding("JPEG 128x128", 2, 320e-6, 1.0),
    ]
    assert "16 cores decode 50,000 images/s" in describe(rows)
    assert "lets 20,000 pass" in describe(rows)
