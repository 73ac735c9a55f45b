"""`folder:PATH`: every kind of image file, good and bad."""

import os
import shutil
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from flowjax_glow import data
from flowjax_glow.data import decode, folder
from flowjax_glow.data.listing import NAMED, list_images
from tests.data.samples import random_images, write_folder


def save(image: Image.Image, file, **options):
    image.save(file, **options)
    return file


def flat(mode: str, color, size=(10, 14)) -> Image.Image:
    return Image.new(mode, size, color)


def sixteen_bits(level: int) -> Image.Image:
    return Image.fromarray(np.full((14, 10), level, np.uint16))


@pytest.mark.parametrize(
    ("image", "file", "color"),
    [
        (flat("L", 90), "gray.png", (90, 90, 90)),
        (flat("1", 1), "bits.png", (255, 255, 255)),
        (flat("LA", (90, 255)), "gray_alpha.png", (90, 90, 90)),
        (flat("RGBA", (10, 20, 30, 0)), "transparent.png", (255, 255, 255)),
        (flat("RGBA", (10, 20, 30, 255)), "opaque.png", (10, 20, 30)),
        (flat("RGB", (200, 20, 30)).quantize(4), "palette.png", (200, 20, 30)),
        (flat("CMYK", (0, 255, 255, 0)), "print.jpg", (255, 0, 0)),
        (sixteen_bits(257 * 40), "deep.png", (40, 40, 40)),
        (flat("RGB", (200, 20, 30)), "UPPER.PNG", (200, 20, 30)),
        (flat("RGB", (200, 20, 30)), "space and ü.webp", (200, 20, 30)),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_mode_becomes_color_or_gray(tmp_path, image, file, color):
    save(image, tmp_path / file)
    for mode, wanted in ("RGB", color), ("L", np.dot(color, (0.299, 0.587, 0.114))):
        pixels = decode.decode(tmp_path / file, 8, mode)
        assert pixels.shape == (8, 8, 3 if mode == "RGB" else 1)
        assert np.abs(pixels - np.array(wanted)).max() <= 3  # JPEG and WebP round


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [flat("RGB", color) for color in ("red", "lime", "blue")]
    file = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (decode.decode(file, 8) == (255, 0, 0)).all()


def test_the_orientation_of_a_camera_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image = Image.fromarray(random_images(1, 8, 8, 3)[0])
    upright = decode.decode(save(image, tmp_path / "a.png", exif=exif), 8)
    np.testing.assert_array_equal(upright, np.asarray(image)[::-1, ::-1])


@pytest.mark.parametrize("note", ["exif", "xmp", "none"])
def test_a_jpeg_file_is_turned_where_it_says_so(tmp_path, note):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    notes = {"exif": {"exif": exif}, "xmp": {"xmp": b'tiff:Orientation="3"'}, "none": {}}[note]
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 250
    save(Image.fromarray(pixels), tmp_path / "a.jpg", **notes)
    top = decode.decode(tmp_path / "a.jpg", 16)[:4].mean()
    assert (top > 200) == (note == "none")


def deep_tiff(file, levels: np.ndarray, *, bits: int, zero: int):
    """A gray TIFF of one strip, as scanners and cameras write it; `zero` is 0 if white is."""
    height, width = levels.shape
    if bits == 12:  # two levels in three bytes
        first, second = levels.reshape(-1, 2).T
        packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
        strip = packed.astype(np.uint8).tobytes()
    else:
        strip = levels.astype("u1" if bits == 8 else "<u2").tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: zero, 277: 1, 278: height}
    entries = {**tags, 273: 8, 279: len(strip)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    directory = struct.pack("<H", len(entries)) + directory + bytes(4)
    file.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(strip)) + strip + directory)
    return file


@pytest.mark.parametrize(
    ("bits", "zero", "shade"), [(16, 1, 40), (16, 0, 215), (12, 1, 40), (8, 0, 215)]
)
def test_scans_keep_their_shades(tmp_path, bits, zero, shade):
    file = tmp_path / "scan.tif"
    level = -(-40 * (2**bits - 1) // 255)  # the least of that shade
    deep_tiff(file, np.full((14, 10), level), bits=bits, zero=zero)
    assert (decode.decode(file, 8) == shade).all()


@pytest.mark.parametrize("most", [65_535, 1_023])
def test_deep_pgm_files_keep_their_shades(tmp_path, most):
    level = 40 * most // 255
    levels = np.full((14, 10), level, ">u2")
    (tmp_path / "a.pgm").write_bytes(f"P5 10 14 {most}\n".encode() + levels.tobytes())
    assert np.abs(decode.decode(tmp_path / "a.pgm", 8) - 40.0).max() <= 1


@pytest.mark.parametrize("suffix", [".jfif", ".avif", ".jp2", ".tga", ".dib", ".qoi", ".apng"])
def test_every_suffix_of_a_format_is_listed_and_read(tmp_path, suffix):
    flat("RGB", (200, 20, 30)).save(tmp_path / f"a{suffix}")
    source = data.load(f"folder:{tmp_path}", size=8)
    pixels = source.batch("train", seed=0, step=0, size=1)
    assert np.abs(pixels - np.array((200, 20, 30))).max() <= 6


def test_a_program_in_the_name_of_a_picture_is_not_started(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EOF\n")
    with pytest.raises(data.DataError, match="got one of no known format"):
        decode.decode(tmp_path / "a.png", 8)


def test_the_middle_square_is_shrunk_by_area(tmp_path):
    image = random_images(1, 16, 24, 3)[0]
    middle = image[:, 4:20].reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    pixels = decode.decode(save(Image.fromarray(image), tmp_path / "a.png"), 8)
    assert np.abs(pixels - middle).max() <= 1  # Pillow rounds after each direction


def empty_png(width: int, height: int) -> bytes:
    """A PNG file that promises many pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def broken_files(place):
    """A file of each kind that cannot be used, by name, with what the reason says."""
    (place / "empty.png").write_bytes(b"")
    (place / "text.jpg").write_text("this is no picture")
    whole = save(Image.fromarray(random_images(1, 40, 40, 3)[0]), place / "torn.png").read_bytes()
    (place / "torn.png").write_bytes(whole[: len(whole) // 2])
    save(flat("RGB", "red", (7, 30)), place / "small.png")
    save(flat("F", 0.5), place / "float.tif")
    (place / "bomb.png").write_bytes(empty_png(20_000, 20_000))
    (place / "huge.png").write_bytes(empty_png(9_000, 9_000))
    return {
        "empty.png": "expected an image file, got one of no known format",
        "text.jpg": "expected an image file, got one of no known format",
        "torn.png": "expected an image file, got OSError",
        "small.png": "expected at least 8 x 8 pixels, got 7 x 30; ask for a smaller size",
        "float.tif": "expected 8 or 16 bits a channel without a sign, got 32 or a sign; save the",
        "bomb.png": "expected an image file, got DecompressionBombError: .*; replace the file",
        "huge.png": "expected at most 67108864 pixels, got 9000 x 9000; shrink the file",
    }


def test_small_and_large_files_give_the_same_pixels(tmp_path):
    pixels = random_images(1, 160, 160, 3)[0]
    large = save(Image.fromarray(pixels), tmp_path / "large.png")
    assert large.stat().st_size > decode.AT_ONCE
    small = tmp_path / "small.png"
    Image.fromarray(pixels[:40, :40]).save(small)
    assert small.stat().st_size < decode.AT_ONCE
    np.testing.assert_array_equal(decode.decode(large, 160), pixels)
    np.testing.assert_array_equal(decode.decode(small, 40), pixels[:40, :40])


def test_unusable_files_say_why(tmp_path):
    for file, reason in broken_files(tmp_path).items():
        with pytest.raises(data.DataError, match=f"decode: {reason}"):
            decode.decode(tmp_path / file, 8)


def test_unusable_files_are_skipped_with_one_warning_and_batches_stay_the_same(tmp_path):
    broken = broken_files(write_folder(tmp_path, 6))
    source = data.load(f"folder:{tmp_path}", size=8)
    unusable = [file for file in source.files["train"] if file in broken]
    assert len(unusable) > NAMED
    with pytest.warns(folder.SkippedFiles) as caught:
        first = source.batch("train", seed=0, step=0, size=source.count("train"))
    message = str(caught.pop(folder.SkippedFiles).message)
    assert f"skipped {len(unusable)} unusable files: " in message
    assert message.endswith(f" | and {len(unusable) - NAMED} more")
    assert "decode: expected" in message
    again = source.batch("train", seed=0, step=0, size=source.count("train"))  # warns no more
    np.testing.assert_array_equal(first, again)


def test_a_warning_can_be_made_an_error(tmp_path):
    broken_files(write_folder(tmp_path, 6))
    source = data.load(f"folder:{tmp_path}", size=8)
    (tmp_path / source.files["train"][0]).write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error", folder.SkippedFiles)
        with pytest.raises(
            folder.SkippedFiles, match=r"skipped . unusable files: .*: decode: expected an"
        ):
            source.read("train", np.array([0]))


def test_a_split_without_a_usable_file_is_an_error(tmp_path):
    broken_files(tmp_path)
    source = data.load(f"folder:{tmp_path}", size=8)
    message = (
        "expected a usable image in train, got . files without one; repair them, .* first: dec"
    )
    with pytest.raises(data.DataError, match=message):
        source.batch("train", seed=0, step=0, size=2)


def test_a_batch_opens_its_own_files_only(tmp_path, monkeypatch):
    source = data.load(f"folder:{write_folder(tmp_path, 30)}", size=8)
    opened = []
    original = decode.decode

    def count(*asked):
        opened.append(asked)
        return original(*asked)

    monkeypatch.setattr(folder, "decode", count)
    source.batch("train", seed=0, step=0, size=4)
    assert len(opened) == 4


def test_formats_are_loaded_before_any_thread_opens_a_file(tmp_path, monkeypatch):
    source = data.load(f"folder:{write_folder(tmp_path, 5)}", size=8)
    calls = []
    monkeypatch.setattr(Image, "init", lambda: calls.append("init"))
    original = decode.decode
    monkeypatch.setattr(
        folder, "decode", lambda *arguments: (calls.append("decode"), original(*arguments))[1]
    )
    source.batch("train", seed=0, step=0, size=2)
    assert calls[:2] == ["init", "decode"]
    assert calls.count("decode") == 2


def test_the_split_of_a_file_does_not_depend_on_the_others(tmp_path):
    before = data.load(f"folder:{write_folder(tmp_path / 'a', 30)}", size=8).files
    write_folder(tmp_path / "a" / "more", 30)
    after = data.load(f"folder:{tmp_path / 'a'}", size=8).files
    assert all(set(before[split]) < set(after[split]) for split in ("train", "test"))
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert data.load(f"folder:{tmp_path / 'b'}", size=8).files == after


def test_about_one_file_in_ten_is_a_test_file():
    share = np.mean([folder.is_test(f"folder/{number}.png") for number in range(10_000)])
    assert 0.09 < share < 0.11


def test_files_are_sorted_and_others_ignored(tmp_path):
    for file in ("b/2.png", "b/1.jpeg", "a.gif", "notes.txt", "b/.hidden.png", ".png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    listing = list_images(tmp_path)
    assert listing.pictures == ("a.gif", "b/1.jpeg", "b/2.png")
    assert listing.passed_over() == "1 files that are no images (.txt)"


def test_links_are_followed_and_nothing_counts_twice(tmp_path):
    inside, outside = write_folder(tmp_path / "inside", 4), write_folder(tmp_path / "outside", 6)
    (inside / "link").symlink_to(outside)
    (inside / "again").symlink_to(outside / "part 0")
    (inside / "round").symlink_to(inside)
    (outside / "back").symlink_to(inside)
    (inside / "one.png").symlink_to(inside / "part 0" / "bild-ä 000.png")
    listing = list_images(inside)
    assert len(listing.pictures) == 4 + 6
    assert sum(name.startswith("part ") for name in listing.pictures) == 4
    real = {str((inside / name).resolve()) for name in listing.pictures}
    assert len(real) == 4 + 6
    assert data.load(f"folder:{inside}", size=8).batch("train", seed=0, step=0, size=9).any()


def test_what_is_hidden_does_not_count(tmp_path):
    write_folder(tmp_path / "shown", 3)
    write_folder(tmp_path / ".thumbnails", 3)
    write_folder(tmp_path / "shown" / ".git" / "deep", 3)
    assert len(list_images(tmp_path).pictures) == 3


def test_what_is_passed_over_is_told_once(tmp_path):
    write_folder(tmp_path, 3)
    for number, suffix in enumerate((".txt", ".txt", ".heic", ".xml", ".a", ".b", ".c", "")):
        (tmp_path / f"{number}{suffix}").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    with pytest.warns(folder.SkippedFiles) as caught:
        sources = [data.load(f"folder:{tmp_path}", size=8) for _ in range(2)]
    assert [str(told.message) for told in caught] == [
        f"folder:{tmp_path}: passed over 8 files that are no images (.txt, no suffix, .a, .b, .c, "
        "and 2 more) and 2 that are no files (gone.png: a broken link, pipe.png: a special file)"
    ]
    assert sum(sources[1].count(split) for split in ("train", "test")) == 3
    with pytest.raises(data.DataError, match=r"expected regular files, got gone.png: a broken"):
        data.load(f"strict-folder:{tmp_path}", size=8)


def test_a_pipe_or_device_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for file in (tmp_path / "pipe.png", "/dev/zero", tmp_path):
        with pytest.raises(data.DataError, match="expected a regular file, got a folder, a pipe"):
            decode.decode(file, 8)


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    write_folder(tmp_path, 3)
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("part 1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(data.DataError, match=r"expected a folder that can be listed, got .*"):
        data.load(f"folder:{tmp_path}", size=8)


def test_a_gray_folder_gives_one_channel(tmp_path):
    write_folder(tmp_path, 6)
    color, gray = (data.load(f"{kind}:{tmp_path}", size=8) for kind in ("folder", "gray-folder"))
    assert (gray.shape, gray.files) == ((8, 8, 1), color.files)
    luma = color.examples("train", 3) @ (0.299, 0.587, 0.114)
    assert np.abs(gray.examples("train", 3)[..., 0] - luma).max() < 3  # rounded before, or after


def test_a_strict_folder_skips_nothing(tmp_path):
    broken_files(write_folder(tmp_path, 6))
    source = data.load(f"strict-folder:{tmp_path}", size=8)
    with pytest.raises(data.DataError, match=r"^strict-folder:.*: \w+.\w+: decode: expected"):
        source.batch("train", seed=0, step=0, size=source.count("train"))


@pytest.mark.parametrize("held_out", folder.TEST_FOLDERS)
def test_a_split_into_folders_is_kept(tmp_path, held_out):
    for part, count in {"train/a": 7, "train/b": 3, held_out: 4, "else": 2}.items():
        write_folder(tmp_path / part, count)
    with pytest.warns(folder.SkippedFiles, match=f"over 2 images outside of train/ and {held_out}"):
        source = data.load(f"folder:{tmp_path}", size=8)
    assert {name.split("/")[0] for name in source.files["test"]} == {held_out}
    assert (source.count("train"), source.count("test")) == (10, 4)
    assert source.rule == f"train/ and {held_out}/"


def test_few_images_have_a_test_image(tmp_path):
    """Thirty have none by chance, once in 24 times."""
    for count in range(2, 40):
        split = folder.split_by_hash([f"{count}/{number}.png" for number in range(count)])
        assert split["test"]
        assert len(split["train"]) + len(split["test"]) == count
    assert folder.split_by_hash(["a.png"]) == {"train": ["a.png"], "test": []}


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    with pytest.raises(data.DataError, match=r"expected images \(.apng, .*\), got an empty fold"):
        data.load(f"folder:{tmp_path}", size=8)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(data.DataError, match=r"got 1 files that are no images \(.txt\); check the"):
        data.load(f"folder:{tmp_path}", size=8)
    with pytest.raises(
        data.DataError, match=r"expected a folder, got no folder at .*none; check the"
    ):
        data.load(f"folder:{tmp_path / 'none'}", size=8)


@pytest.mark.parametrize("size", [None, 0])
def test_a_folder_needs_a_size(tmp_path, size):
    message = f"folder:.*: expected a size in pixels, got {size}; give one, for example size=32"
    with pytest.raises(data.DataError, match=message):
        data.load(f"folder:{tmp_path}", size=size)


def test_a_missing_pillow_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        data.DataError, match=r"expected the package PIL, got .*; install it: in a clone"
    ):
        data.load(f"folder:{tmp_path}", size=8)
