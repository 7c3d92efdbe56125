"""Files that are not images, or not whole ones, are errors that name the file and say what it is."""

import os
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import corners_image, encoded
from PIL import Image

from caption_tx.data.images.decoding import decode_image, read_image
from caption_tx.errors import ImageError


def huge_png(side: int = 30_000) -> bytes:
    """A PNG whose header claims `side` x `side` pixels, with almost no data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
UNREADABLE = {
    "empty": b"",
    "truncated JPEG": encoded(Image.fromarray(NOISE), "JPEG")[:-900],
    "truncated PNG": encoded(Image.fromarray(NOISE), "PNG")[:-900],
    "only a JPEG's beginning": encoded(Image.fromarray(NOISE), "JPEG")[:20],
    "random bytes": NOISE.tobytes(),
    "text": "不是图片".encode(),
    "a claim of 900 million pixels": huge_png(),
    "a claim of 100 million pixels": huge_png(10_000),
    "more pixels than the limit": huge_png(9_434),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "图片.gif"])
def test_the_error_of_an_unreadable_file_names_it(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=name):
        read_image(str(tmp_path / name), 32)


@pytest.mark.parametrize("name", ["missing.jpg", "folder.jpg", "missing/x.jpg", "a\0b.jpg"])
def test_the_error_of_a_path_that_is_not_a_file_names_it(tmp_path, name):
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match=name):
        read_image(str(tmp_path / name), 32)


VALID = [
    encoded(corners_image(), "JPEG"),
    encoded(corners_image(), "PNG"),
    encoded(corners_image(), "GIF"),
    encoded(corners_image(), "TIFF"),
    encoded(corners_image(), "BMP"),
    encoded(corners_image(), "WEBP"),
]


@st.composite
def damaged_files(draw) -> bytes:
    """A valid file with some bytes overwritten and possibly its end missing."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for position in draw(st.lists(st.integers(0, len(data) - 1), max_size=6)):
        data[position] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damage that it can ignore
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=200), damaged_files()))
def test_any_bytes_are_an_image_or_an_image_error(tmp_path, data):
    path = tmp_path / "any.jpg"
    path.write_bytes(data)
    try:
        content, pixels = read_image(str(path), 16)
    except ImageError as error:
        assert str(path) in str(error)
    else:
        assert len(content) == 32
        assert pixels.shape == (16, 16, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [30_000, 10_000, 9_434])
def test_the_error_of_a_too_large_image_states_the_limit(tmp_path, side):
    (tmp_path / "x.png").write_bytes(huge_png(side))
    with pytest.raises(ImageError, match=r"x\.png is too large: .*; the limit is 89,000,000 pixels\.") as caught:
        read_image(str(tmp_path / "x.png"), 32)
    assert any(size in str(caught.value) for size in (f"{side * side:,} pixels", f"{side}x{side} pixels"))


def test_a_pipe_is_rejected_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"pipe\.jpg is not a file"):
        read_image(str(tmp_path / "pipe.jpg"), 32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE html><html><body>Not found", "a web page, not an image; download it again"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "an XML document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing; convert it to PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image; convert it to JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04" + bytes(30), "an archive; extract it first"),
        (b"\0\0\0\x18ftypisom" + bytes(30), "a video; extract a frame"),
        (bytes(1000), "only null bytes"),
        (b"\x01\x02hello", "it is not an image of a known format"),
    ],
)
def test_messages_say_what_a_file_is(read, data, message):
    with pytest.raises(ImageError, match=message):
        read(data)


def test_a_tiff_whose_pixels_are_not_read_is_explained(read):
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "TIFF"))
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", 32844)
    with pytest.raises(ImageError, match=r"a TIFF image that is damaged or has pixels that are not read, .* to PNG"):
        read(bytes(data))


def test_a_raw_file_is_not_read_as_its_preview():
    with pytest.raises(ImageError, match=r"IMG_1\.NEF is a camera raw file, which is not read; convert it to JPEG"):
        decode_image(encoded(corners_image(), "TIFF"), "IMG_1.NEF")


def test_heic_without_its_extra_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(
        ImageError, match=r"x\.jpg cannot be read: it is a HEIC image; .*caption_tx\[heic\].* to JPEG\."
    ):
        decode_image(data, "x.jpg")
