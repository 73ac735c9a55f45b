"""Damaged files are refused in one line that names them; nothing hangs, nothing big is made."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest

from flowjax_glow import arrays, data
from flowjax_glow.arrays import ArraysError, read_npz
from flowjax_glow.files import read_json
from flowjax_glow.runs.experiment import Experiment, read_config, to_json
from tests.soak.files import files, pictures, soak
from tests.soak.models import models


@pytest.mark.parametrize("seed", range(4))
def test_seeded_damage(tmp_path, seed):
    told = soak([*files(tmp_path), *pictures(tmp_path)], 120, seed)
    assert told.faults == []
    assert told.counts["refused"] > 30


def test_seeded_damage_and_forgeries_of_models(tmp_path):
    told = soak(models(tmp_path), 100, 0)
    assert told.faults == []
    assert told.counts["refused"] > 30


def npy(shape: tuple[int, ...], content: bytes, descr: str = "|u1") -> bytes:
    """A member of an .npz file whose header says `shape`."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def packed(member: bytes, method: int = zipfile.ZIP_STORED, **changes: int) -> bytes:
    """A zip file of ``images.npy``, with fields of its directory changed as in a forgery."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("images.npy", member)
        for name, value in changes.items():
            setattr(archive.infolist()[0], name, value)
    return stream.getvalue()


FORGERIES = {
    "a pebibyte": (packed(npy((2**50,), b"")), r"images.npy of 1125899906842624 bytes by its head"),
    "a row too many": (packed(npy((3, 4), bytes(8))), "of 12 bytes by its header, 8 by the file"),
    "a negative side": (packed(npy((-1, 4), bytes(8))), r"of shape \(-1, 4\)"),
    "objects": (packed(npy((1,), bytes(8), "|O")), "of dtype object, which is not plain numbers"),
    "nothing in it": (packed(npy((2**40,), b"", "|S0")), "which is not plain numbers"),
    "a large member": (packed(npy((4,), bytes(4)), file_size=2**50), "more than the file can hold"),
    "encrypted": (packed(npy((4,), bytes(4)), flag_bits=1), "images.npy, which is encrypted"),
    "lzma": (packed(npy((4,), bytes(4)), zipfile.ZIP_LZMA), "which is packed by method 14"),
    "bzip2": (packed(npy((4,), bytes(4)), zipfile.ZIP_BZIP2), "which is packed by method 12"),
    "another version": (packed(b"\x93NUMPY\x09\x00" + bytes(99)), "ValueError|of version"),
    "no array": (packed(b"no array"), "ValueError: "),
    "no zip": (b"PK\x03\x04 no zip", "BadZipFile: "),
    "empty": (b"", "BadZipFile: "),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_arrays_are_refused_before_anything_is_allocated(tmp_path, name, monkeypatch):
    content, message = FORGERIES[name]
    (tmp_path / "a.npz").write_bytes(content)

    def refuse(*_):
        raise AssertionError("memory was asked for")

    monkeypatch.setattr(arrays.np, "empty", refuse)
    with pytest.raises(ArraysError, match=message):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(data.DataError, match=f"^npz:.*a.npz: expected .*(?:{message})"):
        data.load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize("dtype", [">i4", "<f8", "<U3", "?", "<c8", "<u2"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_numpy_reads_them(tmp_path, dtype, save):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    given = {
        "c": values,
        "fortran": np.asfortranarray(values),
        "scalar": values[0, 0, 0],
        "none": values[:0],
    }
    save(tmp_path / "a.npz", **given)
    found = read_npz(tmp_path / "a.npz")
    for name, array in np.load(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)


def test_more_than_a_piece_comes_back(tmp_path):
    values = np.arange(arrays.PIECE // 8 * 3, dtype=np.int64)
    np.savez_compressed(tmp_path / "a.npz", values=values)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["values"], values)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("steps", "400", r"config.json: steps: expected a whole number, got '400'; restore"),
        ("steps", True, "steps: expected a whole number, got True"),
        ("image_size", 8.5, r"image_size: expected a whole number or none, got 8.5"),
        ("model.depth", None, r"model.depth: expected a whole number, got None"),
        ("model.type", "Flow", "model.type: expected one of GlowConfig, .*, got 'Flow'"),
        (
            "model.scale.type",
            "getattr",
            r"scale.type: expected one of .*, got .getattr.; read",
        ),
        ("model.scale.type", "Scale", r"expected one of Additive, .*Exponential, got 'Scale'"),
        ("model.scale.width", 3, "model.scale.width: expected a field of Sigmoid, got one of anot"),
        ("model.scale", "sigmoid", "model.scale: expected a JSON object, got 'sigmoid'"),
        ("model.warp", 3, "model.warp: expected a field of GlowConfig, got one of another name; r"),
        ("model.damped", 1, "model.damped: expected false or true or sqrt, got 1"),
        ("model", None, "config.json: model: expected a JSON object, got None"),
        ("optimizer.learning_rate", -1, "learning_rate: expected a number above 0, got -1"),
        ("era", 3, "config.json: era: expected a field of Experiment, got one of another name; r"),
    ],
)
def test_a_config_of_another_kind_says_where(tmp_path, path, value, message):
    fields = to_json(Experiment())
    *outer, last = path.split(".")
    place = fields
    for name in outer:
        place = place[name]
    place[last] = value
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "JSONDecodeError: Expecting value"),
        (b"\xff\xfe", "UnicodeDecodeError: "),
        (b"[1]", r"\[1\]"),
        (b"[" * 10**5, "RecursionError: "),
        (b'{"status": "do', "JSONDecodeError: "),
        (b"9" * 10**4, "ValueError: Exceeds the limit"),
    ],
)
def test_json_that_is_no_object_names_the_file(tmp_path, content, got):
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/status.json: expected a JSON obj.*{got}"):
        read_json(tmp_path / "status.json")
