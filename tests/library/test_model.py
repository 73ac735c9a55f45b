"""`Model`: the functions of the library with everything in one hand, and in one file."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

import flowjax_glow as fg
from flowjax_glow import model as model_module
from flowjax_glow import model_programs as programs
from flowjax_glow.model_file import CHECKSUM, HEADER, abstract_params, checksum, read_model_file
from flowjax_glow.scales import Biased, Sigmoid
from flowjax_glow.testing import perturbed

SHAPE = (8, 8, 3)
CONFIG = fg.GlowConfig(levels=2, depth=1, width=4, scale=Biased(0.2))


def pixels(count: int, n_bits: int = 5) -> np.ndarray:
    """uint8 images, reduced to bits as `decode` gives them."""
    levels = np.random.default_rng(count).integers(0, 2**n_bits, (count, *SHAPE))
    return np.round(levels * (255 / (2**n_bits - 1))).astype(np.uint8)


def params_of(config: fg.GlowConfig, shape: tuple[int, ...] = SHAPE):
    """Parameters that are cheap, and no two of them alike."""
    shapes = abstract_params(fg.glow(config), shape, "float32")
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.random(leaf.shape).astype(leaf.dtype), shapes)


@pytest.fixture(scope="module")
def model():
    flow = fg.glow(CONFIG)
    x = fg.dequantize(jax.random.key(0), pixels(4), n_bits=5)
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x))
    record = {"experiment": {"dataset": "digits"}, "step": 7, "bits_per_dim": float("nan")}
    return fg.Model(CONFIG, params, SHAPE, 5, record, {"verdict": "at risk"})


def test_its_methods_are_the_functions(model):
    flow, params, images = model.flow, model.params, pixels(3)

    @jax.jit
    def wanted(params, images, key):
        """At once, since compiling is most of the work."""
        x = fg.bin_midpoints(images, n_bits=5)
        return (
            x,
            fg.log_prob(flow, params, x),
            fg.bits_per_dim(flow, params, key, images, n_bits=5),
            fg.encode(flow, params, images, n_bits=5),
        )

    key = jax.random.fold_in(jax.random.key(3), 0)
    x, *rest = wanted(params, images, key)
    latents = model.encode(images)
    found = model.log_prob(x), model.bits_per_dim(images, 3), latents
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(rest), strict=True):
        assert isinstance(ours, np.ndarray)
        # what is frozen rounds differently
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    back = model.decode(latents)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, images)


def test_any_number_of_images_takes_few_programs(model, monkeypatch):
    monkeypatch.setattr(programs, "CHUNK", 4)
    images = pixels(11)
    whole = model.bits_per_dim(images, jax.random.key(5))
    compiled = programs.bits_per_dim._cache_size()
    for count in (0, 3, 4, 7):
        few = model.bits_per_dim(images[:count], jax.random.key(5))
        np.testing.assert_array_equal(few, whole[:count])
    # chunks of 4 images alone, and of none
    assert programs.bits_per_dim._cache_size() == compiled + 1
    back = model.decode(model.encode(images))
    np.testing.assert_array_equal(back, images)


def test_samples_are_those_of_the_function(model):
    drawn = model.sample(3, 9, temperature=0.7)
    wanted = fg.sample_pixels(
        model.flow, model.params, jax.random.key(9), 3, SHAPE, temperature=0.7, n_bits=5, chunk=4
    )
    np.testing.assert_array_equal(drawn, wanted)
    np.testing.assert_array_equal(model.sample(4, jax.random.key(9), temperature=0.7)[:3], drawn)


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (
            "encode",
            np.zeros((2, 8, 8, 1), np.uint8),
            r"a batch of the model's shape, \(batch, 8, 8",
        ),
        ("bits_per_dim", np.zeros(SHAPE, np.uint8), r"got shape \(8, 8, 3\); add the batch axis"),
        ("bits_per_dim", np.zeros((1, *SHAPE), np.uint16), "expected uint8 images, got uint16; sc"),
        ("encode", [[1, 2]], "expected uint8 images, got list"),
        ("log_prob", np.zeros((2, 4, 4, 3), np.float32), r"got shape \(2, 4, 4, 3\)"),
        ("log_prob", np.full((1, *SHAPE), 255.0, np.float32), "expected images within"),
        ("decode", np.zeros((2, 8, 8, 3), np.float32), "expected latents as of encode"),
        ("sample", 0, "expected a whole number above 0, got 0"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_compiles(
    model, unchecked, monkeypatch, method, given, message
):
    for name in ("encode", "decode", "bits_per_dim", "log_prob"):
        monkeypatch.setattr(programs, name, None)
    monkeypatch.setattr(model_module, "sample_pixels", None)
    with pytest.raises(ValueError, match=rf"^Model\.{method}.*{message}"):
        getattr(model, method)(given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_bits": 9}, "n_bits: expected one of 1, 2"),
        ({"event_shape": (8, 8)}, "event_shape: expected"),
        ({"event_shape": (8, 0, 3)}, "event_shape: expected a whole number above 0, got 0"),
    ],
)
def test_what_no_images_have_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        fg.Model(**{"definition": CONFIG, "params": (), "event_shape": SHAPE, **changes})


def assert_alike(one: fg.Model, other: fg.Model) -> None:
    assert (one.config, one.event_shape, one.n_bits) == (
        other.config,
        other.event_shape,
        other.n_bits,
    )
    assert jax.tree.structure(one.params) == jax.tree.structure(other.params)
    for mine, theirs in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params)):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_a_model_comes_back_from_its_file(model, tmp_path):
    file = tmp_path / "model.safetensors"
    model.save(file)
    read = fg.Model.load(file)
    assert_alike(read, model)
    assert (read.verdict, read.record["step"]) == (model.verdict, 7)
    assert np.isnan(read.record["bits_per_dim"])
    np.testing.assert_array_equal(read.sample(4, 2), model.sample(4, 2))
    before = file.read_bytes()
    with pytest.raises(ValueError, match=f"^{file}: expected no such file yet, got one; choose an"):
        model.save(file)
    assert file.read_bytes() == before
    dataclasses.replace(model, verdict=None).save(str(file), overwrite=True)
    assert fg.Model.load(str(file)).verdict is None
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "config",
    [
        fg.GlowIPConfig(levels=2, depth=2, width=4, conv1x1="lu", permutation="every_step"),
        fg.GlowConfig(levels=3, depth=2, width=4, split_prior="learned", top_prior="learned"),
        fg.GlowConfig(levels=1, depth=1, width=4, scale="depth-scaled", mixing="shuffle"),
    ],
)
def test_every_configuration_comes_back(config, tmp_path):
    model = fg.Model(config, params_of(config), SHAPE)
    model.save(tmp_path / "model.safetensors")
    assert_alike(fg.Model.load(tmp_path / "model.safetensors"), model)


def test_parameters_of_float64_come_back_where_they_can(tmp_path):
    file = tmp_path / "model.safetensors"
    with jax.enable_x64(True):
        params = jax.tree.map(
            lambda leaf: leaf.astype("float64") if leaf.dtype == "float32" else leaf,
            params_of(CONFIG),
        )
        model = fg.Model(CONFIG, params, SHAPE)
        model.save(file)
        assert_alike(fg.Model.load(file), model)
    with pytest.raises(ValueError, match="got one of float64; set the option jax_enable_x64 first"):
        fg.Model.load(file)


class Wide(fg.GlowConfig):
    """A configuration of one's own."""


@dataclasses.dataclass(frozen=True)
class Own(Sigmoid):
    """A scale of one's own."""


@pytest.mark.parametrize(
    ("definition", "shape", "message"),
    [
        (
            fg.Squeeze(),
            SHAPE,
            "Model.config: expected a model that is built from a configuration of this library, go",
        ),
        (Wide(levels=1, depth=1, width=4), SHAPE, "expected one of GlowConfig, .* got Wide; a fil"),
        (dataclasses.replace(CONFIG, scale=Own()), SHAPE, r"Model.save.scale: .* got Own; a file"),
        (CONFIG, (8, 8, 1), r"Model.save: expected the parameters .* got levels.* is F32\[1, 12"),
    ],
)
def test_what_a_file_cannot_hold_is_not_saved(definition, shape, message, tmp_path):
    model = fg.Model(definition, params_of(CONFIG), shape)
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model.save(file)
    return file.read_bytes()


def forged(content: bytes, **changes: object) -> bytes:
    """A model file with other fields in its header, dots to fields of fields, and its checksum."""
    arrays = safetensors.numpy.load(content)
    outer = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header = json.loads(outer["__metadata__"][HEADER])
    for path, value in changes.items():
        *places, last = path.split("__")
        place = header
        for name in places:
            place = place[name]
        place[last] = value
    text = json.dumps(header)
    metadata = {HEADER: text, CHECKSUM: checksum(text, arrays)}
    return safetensors.numpy.save(arrays, metadata=metadata)


FORGERIES = {
    "cut off": (lambda content: content[:-1], "SafetensorError: .*"),
    "too long": (lambda content: content + b"\0", "SafetensorError: .*"),
    "empty": (lambda _: b"", "SafetensorError: .*"),
    "a pickle": (lambda _: b"\x80\x04K\x01." * 99, "SafetensorError: .*"),
    "another's": (
        lambda _: safetensors.numpy.save({"a": np.zeros(3)}),
        "a safetensors file of something else, without our header",
    ),
    "a newer one": (
        lambda content: forged(content, format=2, library="9.9"),
        "one of format 2, where this version reads 1; .* that wrote it, '9.9'",
    ),
    "a petabyte": (
        lambda content: forged(content, model__depth=2**44),
        r"one whose configuration and numbers do not agree: .*\[1, 12\] in place of F32\[17592",
    ),
    "more than int64": (lambda content: forged(content, model__depth=10**30), ".*"),
    "many levels": (
        lambda content: forged(content, model__levels=10**9),
        r"a flow of 1000000000 levels for images of \(8, 8\)",
    ),
    "wide": (lambda content: forged(content, model__width=10**12), ".* do not agree: .*"),
    "a channel more": (lambda content: forged(content, event_shape=[8, 8, 4]), ".* agree: .*"),
    "no shape": (lambda content: forged(content, event_shape=[8, 8]), "a header with event_shape "),
    "no bits": (lambda content: forged(content, n_bits=9), "a header with n_bits 9"),
    "a function": (
        lambda content: forged(content, model__scale__type="getattr"),
        "model.scale.type: expected one of Additive, .*",
    ),
    "a list": (lambda content: forged(content, record=[]), r"a header with record \[\]"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_is_no_model_is_refused_before_an_array_is_made(saved, name, tmp_path, monkeypatch):
    change, message = FORGERIES[name]
    file = tmp_path / "model.safetensors"
    file.write_bytes(change(saved))

    class Closed:
        """Tells shapes, and gives no array."""

        def __init__(self, *arguments, **options):
            self._file = original(*arguments, **options)

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

        def __getattr__(self, name):
            assert name != "get_tensor", "memory was asked for"
            return getattr(self._file, name)

    original = safetensors.safe_open
    monkeypatch.setattr(safetensors, "safe_open", Closed)
    with pytest.raises(
        ValueError, match=rf"^{file}: expected a model file of flowjax_glow, got "
    ) as caught:
        read_model_file(file)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 600
    assert re.search(f"got {message}", line), line


def test_another_number_in_a_file_is_seen(saved, tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(saved[:-5] + bytes([saved[-5] ^ 1]) + saved[-4:])
    with pytest.raises(ValueError, match="got a damaged one, whose checksum is another; copy it"):
        fg.Model.load(file)
    with pytest.raises(OSError, match="expected a regular file, got a folder"):
        fg.Model.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        fg.Model.load(tmp_path / "none")


def test_a_card_tells_what_the_record_knows(model):
    text = model.card("mine.safetensors")
    assert text.startswith("---\nlibrary_name: flowjax_glow\n")
    assert "license" not in text
    assert "# GLOW for 8x8x3 images of `digits`" in text
    assert "**at risk**" in text
    assert 'Model.load("mine.safetensors")' in text
    strange = dataclasses.replace(
        model,
        record={"experiment": [], "dataset": "`|<script>\n# x", "bits_per_dim": 3.25},
        verdict={"measurements": [1, {"name": "gain", "value": 12345.678, "grade": "broken"}]},
    )
    text = strange.card()
    assert "of `script # x`" in text
    assert "| bits/dim | 3.250 |" in text
    assert "| gain | 1.23e+04 | broken |" in text
