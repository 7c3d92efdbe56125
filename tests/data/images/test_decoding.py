"""Images are decoded as a viewer shows them."""

import io
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pictures import BLUE, GRADIENT, GREEN, HEIGHT, RED, WHITE, WIDTH, assert_corners, corners_image, encoded
from PIL import Image, PngImagePlugin

from caption_tx.data.images import decoding
from caption_tx.data.images.decoding import decode_image, read_image, read_pil_image, resize
from caption_tx.errors import ImageError

UPRIGHT = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}
"""EXIF orientation -> how the camera stored the upright image."""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_colors_are_kept(read, kind):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    assert_corners(read(encoded(corners_image(), kind, **options)))


def test_cmyk_jpeg_has_the_colors_of_a_viewer(read):
    assert_corners(read(encoded(corners_image().convert("CMYK"), "JPEG", quality=95, subsampling=0)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grayscale_becomes_three_equal_channels(read, kind):
    pixels = np.asarray(read(encoded(Image.new("L", (WIDTH, HEIGHT), 77), kind)))
    np.testing.assert_array_equal(pixels, 77)
    assert pixels.shape == (HEIGHT, WIDTH, 3)


def test_black_and_white_has_full_contrast(read):
    image = Image.new("1", (WIDTH, HEIGHT), 1)
    image.putpixel((3, 5), 0)
    shown = read(encoded(image, "PNG"))
    assert shown.getpixel((3, 5)) == (0, 0, 0)
    assert shown.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(("alpha", "expected"), [(0, WHITE), (255, BLUE), (51, (208, 210, 248))])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_white(read, alpha, expected, kind):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    shown = read(encoded(Image.new("RGBA", (WIDTH, HEIGHT), (*BLUE, alpha)), kind, **options))
    assert np.abs(np.subtract(shown.getpixel((7, 7)), expected)).max() <= 1


def test_transparent_grayscale_is_white(read):
    assert read(encoded(Image.new("LA", (WIDTH, HEIGHT), (9, 0)), "PNG")).getpixel((7, 7)) == WHITE


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_transparent_palette_entry_is_white(read, transparency):
    image = Image.new("P", (WIDTH, HEIGHT), 1)
    image.putpalette([*RED, *GREEN, *BLUE])
    image.paste(2, (0, 0, 16, 16))
    shown = read(encoded(image, "PNG", transparency=transparency))
    assert shown.getpixel((30, 20)) == WHITE
    assert shown.getpixel((4, 4)) == BLUE


def test_palette_without_transparency_keeps_its_colors(read):
    assert_corners(read(encoded(corners_image().quantize(8), "PNG")))


def test_16_bit_grayscale_is_scaled_not_clipped(read):
    values = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    shown = np.asarray(read(encoded(Image.fromarray(values), "PNG")))[..., 0]
    assert np.abs(shown - values / 257.0).max() <= 1


def test_16_bit_tiff_of_either_byte_order_is_scaled(read):
    values = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
    entries = [(256, 4, WIDTH), (257, 4, HEIGHT), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    for order, mark in ((">", b"MM"), ("<", b"II")):
        data = values.astype(f"{order}u2").tobytes()
        rows = [*entries, (278, 4, HEIGHT), (279, 4, len(data))]
        table = struct.pack(f"{order}H", len(rows)) + b"".join(
            struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}{'HH' if kind == 3 else 'I'}", *fields)
            for tag, kind, value in rows
            for fields in [(value, 0) if kind == 3 else (value,)]
        )
        tiff = mark + struct.pack(f"{order}HI", 42, 8 + len(data)) + data + table + bytes(4)
        shown = np.asarray(read(tiff))[..., 0]
        assert np.abs(shown - values / 257.0).max() <= 1


def test_a_file_with_several_images_shows_the_first(read):
    other = Image.new("RGB", (WIDTH, HEIGHT), GREEN)
    assert_corners(read(encoded(corners_image(), "MPO", save_all=True, append_images=[other], quality=95)), 40)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM"])
def test_formats_without_a_listed_suffix_are_decoded_too(read, kind):
    assert_corners(read(encoded(corners_image(), kind)), 40)


def test_postscript_is_not_an_image(read, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ImageError, match="a PostScript file; convert it to PNG"):
        read(encoded(corners_image(), "EPS"))


MODES = {
    "1": corners_image().convert("1"),
    "L": corners_image().convert("L"),
    "LA": corners_image().convert("LA"),
    "P": corners_image().quantize(8),
    "RGB": corners_image(),
    "RGBA": corners_image().convert("RGBA"),
    "I;16": Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 40),
}
MODES["RGBA"].putalpha(corners_image().convert("L"))


@pytest.mark.parametrize("band", [1, 100, 500])
@pytest.mark.parametrize("mode", MODES)
def test_large_images_convert_equally_in_bands(read, monkeypatch, mode, band):
    data = encoded(MODES[mode], "PNG")
    whole = np.asarray(read(data))
    monkeypatch.setattr(decoding, "BAND_PIXELS", band)
    np.testing.assert_array_equal(read(data), whole)


@pytest.mark.parametrize("band", [300, 5_000])
@pytest.mark.parametrize("mode", MODES)
def test_large_images_are_reduced_and_look_the_same(read, monkeypatch, mode, band):
    big = MODES[mode].resize((207, 411), Image.Resampling.NEAREST)
    data = encoded(big, "PNG")
    whole = read(data, 16)
    assert whole.size == (207, 411)
    monkeypatch.setattr(decoding, "BAND_PIXELS", band)
    small = read(data, 16)
    assert small.size == (-(-207 // 6), -(-411 // 6))
    assert np.abs(resize(small, 16).astype(int) - resize(whole, 16)).mean() < 3


@pytest.mark.parametrize(
    ("data", "alone"),
    [
        (encoded(Image.new("RGB", (800, 400)), "PNG"), True),
        (encoded(Image.new("RGB", (800, 400)), "JPEG"), False),  # decodes at a quarter of the scale
        (encoded(Image.new("RGB", (800, 400)), "JPEG", progressive=True), True),
    ],
    ids=["PNG", "JPEG", "progressive JPEG"],
)
def test_large_images_are_decoded_one_at_a_time(monkeypatch, data, alone):
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 100_000)
    at_once, most, lock = 0, 0, threading.Lock()
    convert = decoding._to_rgb

    def slow(image, size, found):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return convert(image, size, found)

    monkeypatch.setattr(decoding, "_to_rgb", slow)
    with ThreadPoolExecutor(4) as pool:
        assert len({content for content, _ in pool.map(lambda _: decode_image(data, "x", 16), range(4))}) == 1
    assert (most == 1) is alone


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(read, orientation, kind, size):
    stored = corners_image()
    for step in UPRIGHT[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    assert_corners(read(encoded(stored, kind, exif=exif, **options), size))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_damaged_exif_is_ignored(read):
    data = encoded(corners_image(), "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert_corners(read(data))


def test_an_exif_entry_of_the_wrong_type_is_ignored(read):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0131] = 3, "maker", "software"
    # Turn the type of entry 010F into "unsigned short", so that the text becomes a number.
    block = (
        exif.tobytes()
        .replace(b"\x01\x0f\x00\x02", b"\x01\x0f\x00\x03")
        .replace(b"\x0f\x01\x02\x00", b"\x0f\x01\x03\x00")
    )
    data = encoded(corners_image().rotate(180), "JPEG", quality=95, subsampling=0, exif=block)
    assert_corners(read(data))


def test_animation_shows_its_first_frame(read):
    frames = [corners_image(), Image.new("RGB", (WIDTH, HEIGHT), GREEN), Image.new("RGB", (WIDTH, HEIGHT), BLUE)]
    assert_corners(read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(tmp_path):
    big = corners_image().resize((1200, 800), Image.Resampling.NEAREST)
    big.save(tmp_path / "big.jpg", quality=95)
    _, reduced = read_pil_image(str(tmp_path / "big.jpg"), 32)
    assert 64 <= reduced.width < 1200
    assert 64 <= reduced.height < 800
    _, pixels = read_image(str(tmp_path / "big.jpg"), 32)
    assert np.abs(pixels.astype(int) - resize(big, 32)).mean() < 4


def test_an_image_is_squashed_to_a_square(tmp_path):
    corners_image().save(tmp_path / "x.png")
    content, pixels = read_image(str(tmp_path / "x.png"), 24)
    assert pixels.shape == (24, 24, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[2, 2], RED)
    np.testing.assert_array_equal(pixels[2, 21], GREEN)
    np.testing.assert_array_equal(pixels[21, 2], BLUE)
    corners_image().save(tmp_path / "same.png")
    assert read_image(str(tmp_path / "same.png"), 24)[0] == content
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "other.png")
    assert read_image(str(tmp_path / "other.png"), 24)[0] != content


PEAK = """
import resource, sys
from caption_tx.data.images.decoding import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_image(sys.argv[1], 224)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("mode", "limit"), [("RGB", 5), ("RGBA", 5), ("I;16", 3)])
def test_a_large_image_takes_little_more_memory_than_its_pixels(tmp_path, run_python, mode, limit):
    """25 million pixels take 4 bytes each (2 for 16-bit grayscale) plus the bands; without bands 8, 20 and 14 bytes."""
    Image.new(mode, (5_000, 5_000), 9 if mode == "I;16" else None).save(tmp_path / "x.png", compress_level=1)
    process = run_python(PEAK, tmp_path / "x.png")
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) < 25 * limit + 60


def damaged_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG file with an additional chunk, whose checksum is wrong, after its header."""
    return png[:33] + len(data).to_bytes(4, "big") + kind + data + b"\0\0\0\0" + png[33:]


def large_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 3_000_000, zip=True)
    return info


@pytest.mark.parametrize(
    "data",
    [
        encoded(corners_image(), "PNG", icc_profile=bytes(1_500_000)),
        encoded(corners_image(), "PNG", pnginfo=large_text()),
        damaged_chunk(encoded(corners_image(), "PNG"), b"zTXt", b"key\0\7not compressed"),
        damaged_chunk(encoded(corners_image(), "PNG"), b"iCCP", b"name\0\1"),
        damaged_chunk(encoded(corners_image(), "PNG"), b"pHYs", b"\0"),
        damaged_chunk(encoded(corners_image(), "PNG"), b"eXIf", b""),
        encoded(corners_image(), "JPEG", icc_profile=bytes(3_000_000), comment=b"x" * 60_000, quality=100),
        encoded(corners_image(), "WEBP", icc_profile=bytes(3_000_000), lossless=True),
    ],
    ids=["profile", "text", "damaged text", "damaged profile", "damaged size", "empty EXIF", "JPEG", "WebP"],
)
def test_metadata_never_costs_the_image(read, data):
    assert_corners(read(data), 40)


def test_the_orientation_of_a_png_with_large_metadata_is_kept(read):
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = corners_image().transpose(Image.Transpose.ROTATE_180)
    assert_corners(read(encoded(turned, "PNG", exif=exif, pnginfo=large_text())), 40)


def test_heic_is_read_with_its_extra_whatever_its_name(read):
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(corners_image()).save(buffer, quality=100)
    assert_corners(read(buffer.getvalue()), 40)


@pytest.mark.parametrize("top", [1, 255, 65535, 100_000])
def test_float_tiffs_are_scaled_to_8_bits(read, top):
    shown = np.asarray(read(encoded(Image.fromarray(GRADIENT * top), "TIFF")))[..., 0]
    assert np.abs(shown - GRADIENT * 255).max() <= 1


def test_32_bits_are_scaled_not_clipped(read):
    shown = np.asarray(read(encoded(Image.fromarray((GRADIENT * 10**6).astype(np.int32)), "TIFF")))[..., 0]
    assert np.abs(shown - GRADIENT * 255).max() <= 1


def test_a_16_bit_tiff_whose_lowest_value_is_white_is_no_negative(read):
    values = Image.fromarray((GRADIENT * 65535).astype(np.uint16))
    shown = np.asarray(read(encoded(values, "TIFF", tiffinfo={262: 0})))[..., 0]
    assert np.abs(255 - shown - GRADIENT * 255).max() <= 1
