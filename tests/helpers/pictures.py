"""A picture with colored corners, pictures of one gray, and what tests of image files write and read them with."""

import io

import numpy as np
from PIL import Image

from caption_tx.data.images.decoding import content_hash

RED, GREEN, BLUE, WHITE = (230, 10, 20), (10, 200, 30), (20, 30, 220), (255, 255, 255)
WIDTH, HEIGHT = 48, 32
CORNERS = {"top left": (4, 4), "top right": (WIDTH - 5, 4), "bottom left": (4, HEIGHT - 5)}
GRADIENT = np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)


def corners_image() -> Image.Image:
    """Red top left, green top right, blue bottom left, white elsewhere; not square."""
    image = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    image.paste(RED, (0, 0, 16, 16))
    image.paste(GREEN, (WIDTH - 16, 0, WIDTH, 16))
    image.paste(BLUE, (0, HEIGHT - 16, 16, HEIGHT))
    return image


def assert_corners(image: Image.Image, tolerance: int = 12) -> None:
    assert image.mode == "RGB"
    assert image.size == (WIDTH, HEIGHT)
    for corner, color in zip(CORNERS.values(), (RED, GREEN, BLUE), strict=True):
        assert np.abs(np.subtract(image.getpixel(corner), color)).max() <= tolerance


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def make_image(number: int, kind: str = "PNG") -> bytes:
    """A 17x13 image whose gray level is `number`."""
    return encoded(Image.new("RGB", (17, 13), (number, number, number)), kind)


def gray_of(images, name: str) -> int:
    """The gray level of such an image of a source, which is read in every way."""
    content, pixels = images.read_image(name, 8)
    assert content == content_hash(images.read_bytes(name))
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert images.read_pil_image(name)[1].size == (17, 13)
    return int(pixels[3, 3, 0])
