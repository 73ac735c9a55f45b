"""A sheet of samples tells what is not finite."""

import matplotlib.image
import numpy as np
import pytest

from flowjax_glow.commands.pictures import save_sheet


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_that_are_not_finite_are_magenta_and_counted(tmp_path, channels):
    images = np.full((12, 32, 32, channels), 100, np.uint8)
    images[1, 3, 4] = 0  # black is black
    finite = np.ones((12, 32, 32), bool)
    finite[2, 5, 6] = False
    finite[11] = False
    line = save_sheet(tmp_path / "sheet.png", images, finite)
    assert line.endswith("sheet.png: 2 of 12 samples are not finite; such pixels are magenta")
    picture = np.round(255 * matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]).astype(int)
    assert picture.shape == (2 * 66 - 0, 10 * 66, 3)  # twice as large, with edges of two
    tile = picture[:64, 2 * 66 : 2 * 66 + 64]
    assert (tile[10:12, 12:14] == (255, 0, 255)).all()
    assert (tile == 100).all(-1).sum() == 64 * 64 - 4
    assert (picture[6:8, 66 + 8 : 66 + 10] == 0).all()
    assert (picture[66 : 66 + 64, 66 : 66 + 64] == (255, 0, 255)).all()
    assert (picture[66:, 132:] == 255).all()  # no sample


def test_a_sheet_of_finite_samples_is_named_alone(tmp_path):
    file = tmp_path / "sheet.png"
    assert save_sheet(file, np.zeros((3, 8, 8, 1), np.uint8), np.ones((3, 8, 8), bool)) == str(file)
