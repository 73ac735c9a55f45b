"""Figures and the table, from run folders that are made up, broken and unfinished ones included."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from experiments.figures import depth
from experiments.figures import drawing as experiments_drawing
from experiments.figures.__main__ import Figures
from experiments.figures.depth import _family
from experiments.figures.drawing import FIGURES, STUDIES, draw_all
from experiments.figures.studies import FAMILIES, _front, family
from experiments.sweeps import plan
from experiments.table import over_seeds, summary_table
from experiments.variants import GROUPS, STUDY_ROWS, VARIANTS
from flowjax_glow import plotting
from flowjax_glow.figures import drawing, style
from flowjax_glow.figures.labels import label_points
from flowjax_glow.figures.panels import power_of_ten
from flowjax_glow.figures.selection import NoDataError
from flowjax_glow.figures.sheets import Sheet
from flowjax_glow.layer_axis import flow_steps, name_layers, places
from flowjax_glow.plotting import show
from flowjax_glow.runs.experiment import to_json
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.runs.results import load_run, load_sweep
from tests.commands.invoke import invoke
from tests.experiments.run_folders import write_json, write_run, write_sweep

ROOT = Path(__file__).parents[2]
SMALL = {"depth": 2, "samples": 16, "steps": 120, "every": 60}

RUNS = [
    ("control", 0, "done"),
    ("additive", 0, "done"),
    ("control", 1, "diverged"),
    ("additive", 1, "running"),
]


@pytest.fixture(scope="module")
def figures():
    """All figures that were saved, by name."""
    saved = {}
    save = plotting.save

    def remember(figure, folder, name, arrays):
        saved[name] = figure
        return save(figure, folder, name, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotting, "save", remember)
        yield saved


def texts(figure):
    """What is written in a figure, with the box of each in pixels."""
    figure.dpi = 150
    figure.draw_without_rendering()
    hidden = set()
    for axis in [axis for axes in figure.findobj(Axes) for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        labels = zip(axis.get_ticklocs(), axis.get_ticklabels())
        hidden |= {label for place, label in labels if not low <= place <= high}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text not in hidden]
    return [(text.get_text(), Text.get_window_extent(text)) for text in shown if text.get_text()]


def assert_tidy(figure):
    """No text lies on another, and none leaves the figure."""
    found = texts(figure)
    for text, box in found:
        assert box.x0 > -1, text
        assert box.y0 > -1, text
        assert box.x1 < figure.bbox.width + 1, text
        assert box.y1 < figure.bbox.height + 1, text
    for (text, box), (other, its) in itertools.combinations(found, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        assert min(across, min(box.y1, its.y1) - max(box.y0, its.y0)) < 1, (text, other)


@pytest.fixture(scope="module")
def sweep(figures, tmp_path_factory):
    """A sweep with every figure drawn."""
    folder = write_sweep(tmp_path_factory.mktemp("sweeps") / "sweep", RUNS, **SMALL)
    return folder, draw_all(folder)


def arrays_of(folder, name):
    with np.load(folder / "figures" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_every_figure_is_drawn_in_three_files(sweep):
    folder, files = sweep
    names = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "npz")}
    assert {file.name for file in files} == names
    assert {file.name for file in (folder / "figures").iterdir()} == names
    for file in files:
        limit = 300 if file.suffix == ".png" else 2000
        assert 0 < file.stat().st_size < limit * 1024


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_lies_on_another_or_is_cut_off(sweep, figures, name):
    assert_tidy(figures[name])


def test_drawing_again_gives_the_same_bytes(sweep, monkeypatch):
    folder, _ = sweep
    few = {name: FIGURES[name] for name in ("figure1", "figure3", "figure4")}
    monkeypatch.setattr(experiments_drawing, "FIGURES", few)
    files = [
        folder / "figures" / f"{name}.{kind}" for name in few for kind in ("png", "svg", "npz")
    ]
    before = {file: file.read_bytes() for file in files}
    assert set(draw_all(folder)) == set(files)
    assert {file: file.read_bytes() for file in files} == before


def test_arrays_are_those_of_the_runs(sweep):
    folder, _ = sweep
    runs = load_sweep(folder)
    loss = arrays_of(folder, "figure4")
    assert loss["variants"].tolist() == ["control", "control", "additive", "additive"]
    assert loss["seeds"].tolist() == [0, 1, 0, 1]
    windows = [row["window_loss"] for row in runs[0].metrics if "window_loss" in row]
    np.testing.assert_array_equal(loss["window_loss"][0], windows)
    assert np.isnan(loss["window_loss"][3, 2:]).all()
    np.testing.assert_array_equal(
        loss["difference_to_control"][2], loss["window_loss"][2] - loss["window_loss"][0]
    )
    np.testing.assert_array_equal(
        arrays_of(folder, "figure1")["images"][0], runs[0].clippings[120]["zero_images"]
    )
    region = arrays_of(folder, "failing_region")
    assert region["steps"].tolist() == [0, 60, 120]
    broken = np.mean(runs[0].looks[120]["z_error"] > 1e-2, axis=1)
    np.testing.assert_array_equal(region["lost"][0, 2], broken)
    assert np.isinf(arrays_of(folder, "figure5")["worst_after"][0, -1])


def test_densities_integrate_to_one(sweep):
    arrays = arrays_of(sweep[0], "figure3")
    total = np.nansum(arrays["density/control"] * np.diff(arrays["edges/control"]), axis=1)
    np.testing.assert_allclose(total, 1.0)


def test_a_study_has_a_figure_of_its_own_and_stays_out_of_the_others(
    figures, tmp_path, monkeypatch
):
    # of those that all runs share, which get the same runs, one
    monkeypatch.setattr(experiments_drawing, "FIGURES", {"figure4": FIGURES["figure4"]})
    names = ["control", "biased-0.3", "bounded", "one-sided", "damped-2", "signal", "openai"]
    others = ["control-depth8", "undamped", "tanh-clip", "damped-depth128", "per-batch"]
    others += ["author-form"]
    runs = [(name, seed, "done") for name in [*names, *others] for seed in (0, 1)]
    folder = write_sweep(tmp_path / "sweep", runs, **SMALL)
    assert {file.stem for file in draw_all(folder)} == {"figure4", *STUDIES}
    for name in STUDIES:
        assert_tidy(figures[name])
    assert set(arrays_of(folder, "figure4")["variants"]) == {"control", "bounded", "openai"}
    assert set(arrays_of(folder, "scales")["variants"]) == set(names[:5])
    assert set(arrays_of(folder, "noise_path")["variants"]) == {
        *("control", "bounded", "openai", "signal")
    }
    assert set(arrays_of(folder, "depth")["variants"]) == {"control", "bounded", "control-depth8"}
    assert set(arrays_of(folder, "parts")["variants"]) == {"control", "bounded", "undamped"}
    assert set(arrays_of(folder, "author")["variants"]) == {"control", "author-form"}
    redrawn = arrays_of(folder, "figure5_permutations")
    assert redrawn["image_variants"].tolist() == ["per-batch", "per-batch, redrawn"]
    assert redrawn["median_redrawn"].shape == (2, 9)
    assert set(arrays_of(folder, "alternatives")["variants"]) == {"control", "bounded", "tanh-clip"}
    assert set(arrays_of(folder, "fixed_clamp")["variants"]) == {
        *("control", "control-depth8", "damped-depth128")
    }


def test_growth_joins_the_depths_of_a_variant():
    families = {_family(name) for name in GROUPS["fixed-clamp"]}
    assert families == {"control", "depth-scaled", "damped", "soft-clamp-0.125"}


def test_growth_is_that_of_the_finest_level_step_by_step(tmp_path):
    folder = write_sweep(tmp_path / "sweep", [("control-depth8", 0, "done")], **SMALL)
    (run,) = load_sweep(folder)
    _, arrays = depth.growth([run])
    found = arrays["log10/control-depth8-seed0"]
    layers = max(run.clippings.items())[1]["layers"].tolist()
    ends = [i for i, name in enumerate(layers) if name.startswith("level0/") and "ActNorm" in name]
    wanted = max(run.looks.items())[1]["log_growth"][0][ends] / np.log(10)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_front_is_what_nothing_beats():
    points = np.array([[1.0, 9.0], [2.0, 3.0], [1.5, 9.0], [3.0, 4.0], [2.5, 1.0], [1.0, 10.0]])
    assert _front(points) == [0, 1, 4]


@pytest.mark.parametrize("variant", GROUPS["scales"])
def test_every_scale_of_the_study_has_a_family(variant):
    (experiment,) = plan(SMOKE, [variant], [0])
    name, constant = family(to_json(experiment)["model"])
    assert name in FAMILIES
    assert isinstance(constant, str)


@pytest.mark.parametrize("variant", ["openai", "additive"])
def test_one_run_alone_fills_every_figure(tmp_path, variant):
    write_run(tmp_path / "run", variant, 3, "done", **SMALL)
    runs = load_sweep(tmp_path / "run")
    for draw in FIGURES.values():
        figure, arrays = draw(runs)
        assert figure.get_figwidth() > 0
        assert arrays


def test_the_command_draws_what_every_run_has(tmp_path, monkeypatch):
    two = {name: drawing.FIGURES[name] for name in ("held_out", "training_loss")}
    write_run(tmp_path / "run", "damped", 3, "done", **SMALL)
    monkeypatch.setattr(drawing, "FIGURES", two)
    code, output = invoke("figures", tmp_path / "run")
    files = [tmp_path / "run" / "figures" / f"{name}.png" for name in two]
    assert (code, output.split()) == (0, [str(file) for file in files])
    assert all(file.is_file() for file in files)


def test_the_paper_has_all_figures_that_every_run_has():
    def parts(draw):
        return getattr(draw, "func", draw), getattr(draw, "keywords", {})

    ours = [parts(draw) for draw in FIGURES.values()]
    assert all(parts(draw) in ours for draw in drawing.FIGURES.values())


def test_an_unfinished_run_shows_its_training_only(tmp_path, capsys):
    write_run(tmp_path / "run", "biased", 0, "running", **SMALL)
    names = {file.stem for file in draw_all(tmp_path / "run")}
    looks = {"figure3_growth", "failing_region", "largest_activation", "origin"}
    assert names == {"figure4", *looks}
    assert "figure1: skipped, no run is finished yet" in capsys.readouterr().out


def test_a_sweep_that_has_not_begun(tmp_path, capsys):
    write_sweep(tmp_path / "sweep", [])
    assert draw_all(tmp_path / "sweep") == []
    assert capsys.readouterr().out.count("skipped") == len(FIGURES)


def test_one_level_has_no_split(tmp_path):
    folder = tmp_path / "run"
    write_run(folder, "control", 0, "done", **SMALL)
    for file in folder.glob("arrays/look-*.npz"):
        with np.load(file) as arrays:
            changed = {name: arrays[name] for name in arrays}
        changed |= {name: changed[name][:0] for name in changed if name.startswith("s_")}
        np.savez(file, **changed)
    for name in ("figure3", "figure3_tails", "figure3_growth"):
        with pytest.raises(NoDataError, match="no model has a split"):
            FIGURES[name](load_sweep(folder))


def test_runs_are_loaded_as_far_as_they_came(sweep):
    done, _, diverged, running = load_sweep(sweep[0])
    assert (done.variant, done.seed, done.status, done.is_finished) == ("control", 0, "done", True)
    assert list(done.looks) == [0, 60, 120]
    assert done.looks[60] is done.looks[60]
    assert diverged.summary is not None
    assert diverged.status == "diverged"
    assert diverged.summary["bits_per_dim"] is None
    assert diverged.summary["z_error"]["1"] == np.inf
    assert (running.status, running.is_finished) == ("running", False)
    assert running.metrics[-1]["step"] == 60
    assert list(running.clippings) == [0]


def test_a_missing_folder(tmp_path):
    message = (
        f"{tmp_path / 'no'}: expected a sweep folder (with sweep.json) or a run folder "
        "(with config.json), got no such folder; train with flowjax-glow train, which "
        "prints where its folder lies"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_sweep(tmp_path / "no")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"seed"', "config.json: expected a JSON object, got "),
        ('{"variant": 3}', "config.json: expected `variant` of type str, got 3; "),
        ('{"variant": "control"}', "config.json: expected `seed` of type int, got None; "),
    ],
)
def test_a_broken_config(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_run(tmp_path)


def test_broken_arrays(tmp_path):
    write_run(tmp_path / "run", "control", 0, "done", **SMALL)
    file = tmp_path / "run/arrays/look-000000.npz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"look-000000.npz: expected an .npz file of plain arrays"):
        draw_all(tmp_path / "run")


def test_the_command_needs_no_device(tmp_path):
    write_run(tmp_path / "run", "control", 0, "running", **SMALL)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            "experiments.figures",
            tmp_path / "run",
        ],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "none_there_is"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "run/figures/figure4.png") in done.stdout.split()


def test_the_command_on_a_bad_path(tmp_path):
    code, output = invoke(Figures, tmp_path)
    assert code == 2
    assert output.count("\n") == 1
    assert "got neither" in output


def test_the_table(sweep, tmp_path):
    text = summary_table(load_sweep(sweep[0]))
    for part in (
        "control",
        "additive",
        "1 done",
        "1 diverged",
        "1 unfinished",
        "50",
        "inf",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    write_run(tmp_path / "run", "control", 0, "failed", **SMALL)
    write_json(tmp_path / "run/summary.json", {"status": "failed", "steps": 3})
    assert "1 failed" in summary_table(load_sweep(tmp_path / "run"))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "-"),
        ([None, 2.0], "2"),
        ([1.0, 2.0], "1.5 [1, 2]"),
        ([1.0, np.inf], "inf [1, inf]"),
        ([1.0, np.nan], "nan [nan, nan]"),
        ([3e-6, 5e-6], "4e-6 [3e-6, 5e-6]"),
    ],
)
def test_numbers_over_seeds(values, text):
    assert over_seeds(values) == text


def test_every_variant_has_a_pen_of_its_own():
    variants = [name for name in VARIANTS if name not in STUDY_ROWS]
    pens = [style.pen(variant) for variant in variants]
    assert len({pen["color"] for pen in pens}) == len(variants)
    assert style.order({"new", *variants})[-1] == "new"


def test_not_finite_pixels_are_magenta_and_others_are_clipped():
    gray = np.array([[[0.0], [np.nan], [-9.0], [0.5]]])
    rgb = show(gray)
    assert rgb.tolist() == [[[0.5] * 3, [1.0, 0.0, 1.0], [0.0] * 3, [1.0] * 3]]


def test_flow_steps_counts_steps_not_sub_layers():
    names = ["level1/step0/A", "level1/step0/B", "level1/Squeeze", "level0/step0/A"]
    assert flow_steps(names).tolist() == [0.5, 1.0, 1.0, 2.0]
    assert flow_steps(["ActNorm", "Affine", "ActNorm"]).tolist() == [1.0, 2.0, 3.0]
    # one Repeat after the other
    assert flow_steps(["step1/A", "step0/A", "step1/A", "step0/A"]).tolist() == [1, 2, 3, 4]


def test_some_of_the_layers_have_the_places_that_they_have_among_all():
    layers = ["Affine", "ActNorm", "Affine", "ActNorm"]
    assert places(["Affine", "Affine"], layers).tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        (
            ["level1/step0/A", "level0/step1/A", "level0/step0/A"],
            ["step 0\nlevel 1", "step 1\nlevel 0", "step 0"],
        ),
        (["step1/A", "step1/B", "step0/A"], ["step 1", "step 0"]),
        (["layer0/Affine", "layer1/Affine"], ["layer0/Affine", "layer1/Affine"]),
    ],
)
def test_an_axis_names_levels_and_steps_or_layers(layers, shown):
    axes = Figure().subplots()
    name_layers(axes, layers)
    assert [label.get_text() for label in axes.get_xticklabels()] == shown
    assert axes.get_xlim() == (0.0, len(shown))


def test_a_sheet_without_what_looks_alike():
    plain, other = np.zeros((2, 4, 4, 3)), np.full((2, 4, 4, 3), 0.25)
    images = np.stack([plain, plain + 1e-6, np.stack([plain[0], other[0]])])
    sheet = Sheet(images, ["a", "b", "c"], ["c = 10", "none"], [["", ""]] * 3)
    reduced, said = sheet.reduced()
    assert (reduced.rows, reduced.columns) == (["a", "c"], ["c = 10", "none"])
    np.testing.assert_array_equal(reduced.images, images[[0, 2]])
    assert "The pictures of b are left out, since no pixel differs from a by 1/255." in said


def test_a_sheet_of_one_column_lies_on_its_side():
    images = np.zeros((2, 3, 4, 4, 1))
    images[1] = np.nan
    reduced, said = Sheet(images, ["a", "b"], ["10", "20", "none"], [[""] * 3] * 2).reduced()
    assert (reduced.rows, reduced.columns) == (["10"], ["a", "b"])
    assert "pictures of 20, none are left out" in said


def test_a_sheet_that_has_nothing_to_leave_out():
    images = np.arange(4.0).reshape(2, 2, 1, 1, 1) / 8
    reduced, said = Sheet(images, ["a", "b"], ["10", "20"], [["", ""]] * 2).reduced()
    np.testing.assert_array_equal(reduced.images, images)
    assert said == ""


def test_layers_are_named_on_an_axis(sweep, figures):
    (axes,) = figures["activation_trace"].axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["step 1\nlevel 1", "step 0", "step 1\nlevel 0", "step 0"]


def test_labels_of_one_place_stand_apart():
    with plotting.context():
        figure = plotting.new_figure(3.0)
        axes = figure.subplots()
        figure.draw_without_rendering()
        points = np.full((4, 2), 0.5)
        label_points(axes, points, ["one", "two", "", "three"], ["k"] * 4, np.empty((0, 4)))
        assert_tidy(figure)
        assert {"one", "two", "three"} < {text for text, _ in texts(figure)}


def test_a_block_has_white_gaps():
    joined = plotting.block(np.zeros((4, 2, 2, 1)), 2, gap=1)
    assert joined.shape == (5, 5, 1)
    np.testing.assert_array_equal(joined[2], 0.5)
    np.testing.assert_array_equal(joined[:2, :2], 0.0)


def test_powers_of_ten():
    assert [power_of_ten(value) for value in (1e-2, 0.1, 1e10, 0.0, 300.0)] == [
        "10⁻²",
        "0.1",
        "10¹⁰",
        "0",
        "300",
    ]
