"""The graph that decodes image files gives the pixels of Pillow, up to rounding."""

import io
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from caption_tx.data.images.decoding import decode_image, resize
from caption_tx.errors import ImageError
from caption_tx.export.images import decode_images, exif_orientation

SIZE = 32


@pytest.fixture(scope="module")
def decode():
    """The graph for images of 32 pixels."""
    specs = [tf.TensorSpec((None,), tf.string)]
    return tf.function(lambda data: decode_images(data, SIZE), input_signature=specs, autograph=False)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    channels = [255 * x, 255 * y, 127 + 120 * np.sin(7 * x + 3 * y**2), 255 * (x + y) / 2]
    pixels = np.stack(channels, axis=-1).astype(np.uint8)
    if mode == "CMYK":
        return Image.fromarray(pixels, "CMYK")
    return Image.fromarray(pixels, "RGBA").convert(mode)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def expected(data: bytes) -> np.ndarray:
    return resize(decode_image(data, "image", SIZE)[1], SIZE).astype(int)


FILES = {
    "JPEG": (encode(picture(61, 47), "JPEG", quality=92), 1),
    "gray JPEG": (encode(picture(61, 47, "L"), "JPEG"), 1),
    "CMYK JPEG": (encode(picture(61, 47, "CMYK"), "JPEG", quality=95), 4),
    "progressive JPEG": (encode(picture(161, 97), "JPEG", progressive=True), 1),
    "large JPEG, half scale": (encode(picture(200, 150), "JPEG", quality=92), 1),
    "large JPEG, quarter scale": (encode(picture(300, 333), "JPEG", quality=92), 1),
    "large JPEG, eighth of the scale": (encode(picture(700, 900), "JPEG", quality=92), 1),
    "PNG": (encode(picture(50, 33), "PNG"), 1),
    "PNG with transparency": (encode(picture(50, 33, "RGBA"), "PNG"), 2),
    "gray PNG with transparency": (encode(picture(50, 33, "LA"), "PNG"), 2),
    "palette PNG": (encode(picture(50, 33, "P"), "PNG"), 1),
    "GIF": (encode(picture(50, 33, "P"), "GIF"), 1),
    "BMP": (encode(picture(50, 33), "BMP"), 1),
    "image of the right size": (encode(picture(SIZE, SIZE), "PNG"), 0),
    "tiny image": (encode(picture(1, 3), "PNG"), 1),
}


def test_pixels_are_those_of_pillow_up_to_rounding(decode):
    pixels, readable = decode(tf.constant([data for data, _ in FILES.values()]))
    assert readable.numpy().all()
    for (name, (data, tolerance)), actual in zip(FILES.items(), pixels.numpy().astype(int), strict=True):
        difference = np.abs(actual - expected(data))
        assert difference.max() <= tolerance, (name, difference.max())
        assert (difference > 0).mean() < (0.02 if tolerance <= 1 else 0.6), (name, (difference > 0).mean())


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_exif_orientation_is_applied(decode, byte_order):
    files = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif.endian = "<" if byte_order == "little" else ">"
        exif[0x010E] = "a description before the orientation"
        exif[0x0112] = orientation
        files.append(encode(picture(61, 47), "JPEG", quality=92, exif=exif.tobytes()))
    pixels, _ = decode(tf.constant(files))
    assert [int(exif_orientation(tf.constant(data))) for data in files] == list(range(1, 9))
    for data, actual in zip(files, pixels.numpy().astype(int), strict=True):
        assert np.abs(actual - expected(data)).max() <= 2


def test_damaged_exif_data_is_ignored_quickly():
    whole = encode(picture(20, 20), "JPEG", exif=Image.Exif().tobytes())
    start = whole.index(b"Exif\0\0") + 6
    for value in (b"", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", bytes(20)):
        damaged = whole[:start] + value + whole[start + len(value) :]
        assert int(exif_orientation(tf.constant(damaged))) == 1
    endless = b"\xff\xd8" + b"\xff\xe0\0\0" * 100_000
    orientation = tf.function(exif_orientation, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    orientation(tf.constant(whole))
    start = time.process_time()
    for data in (endless, b"\xff\xd8" + b"\xff" * 300_000, whole[:24], b"\xff\xd8\xff\xe1"):
        assert int(orientation(tf.constant(data))) == 1
    assert time.process_time() - start < 2


def test_unreadable_images_do_not_affect_the_others(decode):
    good, _ = FILES["JPEG"]
    webp = encode(picture(20, 20), "WEBP")
    bomb = bytearray(FILES["PNG"][0])
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    files = [b"", good, b"not an image", good[: len(good) // 2], webp, bytes(bomb), good]
    pixels, readable = decode(tf.constant(files))
    assert readable.numpy().tolist() == [False, True, False, False, False, False, True]
    assert np.array_equal(pixels[1], pixels[6]) and not pixels.numpy()[[0, 2, 3, 4, 5]].any()
    for data in (files[0], files[2], files[3]):
        with pytest.raises(ImageError):
            decode_image(data, "image", SIZE)
