"""Images as Python programs have them: every form gives the same image, and others are rejected with advice."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from caption_tx.data.images.decoding import decode_image
from caption_tx.data.images.forms import image_name, is_one_image, name_image, name_images
from caption_tx.errors import ImageError

PIXELS = np.random.default_rng(0).integers(0, 256, (19, 23, 3), np.uint8)


def encode(pixels=PIXELS, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png", **options)
    return stream.getvalue()


def decoded(image):
    """(content hash, RGB pixels) of one image."""
    name, content = name_image(image)
    content, image = decode_image(content, name)
    return content, np.asarray(image)


class Tensor:
    """What tensors of all libraries share."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_the_forms_of_an_encoded_file_are_the_same_image(tmp_path):
    data = encode()
    path = tmp_path / "猫.png"
    path.write_bytes(data)
    with open(path, "rb") as file:
        file.read(5)  # a program has looked at it
        forms = [data, bytearray(data), memoryview(data), io.BytesIO(data), file, ("cat", data), ("cat", path)]
        results = [decoded(form) for form in forms]
        assert name_image(file)[0] == str(path)
    for content, pixels in results:
        assert content == results[0][0]
        np.testing.assert_array_equal(pixels, PIXELS)


def test_arrays_tensors_and_pil_images_of_the_same_pixels_are_the_same_image():
    import tensorflow as tf

    forms = [PIXELS, np.asfortranarray(PIXELS), Image.fromarray(PIXELS), tf.constant(PIXELS), Tensor(PIXELS)]
    results = [decoded(form) for form in forms]
    for content, pixels in results:
        assert content == results[0][0]
        np.testing.assert_array_equal(pixels, PIXELS)
    assert decoded(PIXELS + 1)[0] != results[0][0]
    assert decoded(PIXELS.transpose(1, 0, 2))[0] != results[0][0]


@pytest.mark.parametrize("shape", [(19, 23), (19, 23, 1)])
def test_gray_arrays_have_three_equal_channels(shape):
    pixels = PIXELS[..., 0].reshape(shape)
    np.testing.assert_array_equal(decoded(pixels)[1], np.repeat(PIXELS[..., :1], 3, axis=2))


def test_transparent_arrays_are_shown_on_white():
    alpha = np.zeros((19, 23, 1), np.uint8)
    assert (decoded(np.concatenate([PIXELS, alpha], axis=2))[1] == 255).all()


@pytest.mark.parametrize("form", ["bytes", "file", "pil", "path"])
def test_exif_orientation_is_honored(form, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    data = encode(exif=exif)
    (tmp_path / "x.png").write_bytes(data)
    forms = {"bytes": data, "file": io.BytesIO(data), "pil": Image.open(io.BytesIO(data))}
    image = forms.get(form, ("x", tmp_path / "x.png"))
    np.testing.assert_array_equal(decoded(image)[1], np.rot90(PIXELS, -1))


def test_pil_images_of_other_modes(tmp_path):
    image = Image.fromarray(PIXELS)
    for mode in ("RGBA", "CMYK", "LA", "P"):
        assert decoded(image.convert(mode))[1].shape == PIXELS.shape
    deep = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decoded(deep)[1][..., 0], PIXELS[..., 0])
    image.save(tmp_path / "x.png")
    assert name_image(Image.open(tmp_path / "x.png"))[0] == str(tmp_path / "x.png")


UNIT = np.linspace(0, 1, PIXELS.size, dtype=np.float32).reshape(PIXELS.shape)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (UNIT, r"float32 with shape \(19, 23, 3\); expected uint8 values from 0 to 255.*0 to 1: .*255 \* image"),
        (255 * UNIT, r"from 0 to 255: convert it with image\.round"),
        (2 * UNIT - 1, r"from -1 to 1: scale them to 0 to 255"),
        (PIXELS.astype(np.int64), r"int64 .*image\.round"),
        (PIXELS > 3, "bool .*convert it to uint8"),
        (PIXELS.transpose(2, 0, 1), r"shape \(3, 19, 23\).*move the channels to the end"),
        (np.stack([PIXELS] * 2), r"shape \(2, 19, 23, 3\).*captions"),
        (PIXELS[0, 0], r"shape \(3,\)"),
        (PIXELS[:0], "no pixels"),
        (np.zeros((19, 23, 5), np.uint8), r"\(19, 23, 5\)"),
        (np.array([None, "x"]), "convert it to uint8"),
        (17, "Expected an image, got a value of type int; pass a path"),
        (None, "NoneType"),
        ({"a": 1}, "dict"),
        (("a", PIXELS, 3), "a tuple of 3"),
        ((b"a", PIXELS), "a pair of a name"),
    ],
)
def test_other_values_are_rejected_with_advice(image, message):
    with pytest.raises(ImageError, match=message) as caught:
        name_image(image)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_symbolic_tensors_are_rejected():
    import tensorflow as tf

    @tf.function
    def encode(image):
        name_image(image)

    with pytest.raises(ImageError, match="image has no values that can be read: a value of type tensorflow"):
        encode(tf.constant(PIXELS))


def test_images_that_cannot_be_read_are_named_with_their_error(tmp_path):
    (tmp_path / "half.png").write_bytes(encode()[:200])
    closed = io.BytesIO(encode())
    closed.close()
    (tmp_path / "text.txt").write_text("x")
    with open(tmp_path / "text.txt") as text, Image.open(tmp_path / "half.png") as half:
        images = [half, closed, text, ("gone", tmp_path / "gone.png"), encode()]
        (half, closed, text, gone, good) = name_images(images)
    assert "half.png cannot be read" in str(half[1])
    assert "image 2 cannot be read: I/O operation on closed file" in str(closed[1])
    assert "mode 'rb'" in str(text[1])
    assert "gone.png cannot be read: No such file" in str(gone[1])
    assert good == ("image 5", encode())
    with pytest.raises(ImageError, match="it is not an image of a known format"):
        decode_image(b"text", "image")


def test_one_image_and_several():
    one = ["a.jpg", Path("a.jpg"), b"x", bytearray(b"x"), io.BytesIO(), Image.new("L", (1, 1)), PIXELS, PIXELS[..., 0]]
    assert all(map(is_one_image, [*one, ("name", PIXELS), ("name", b"x"), Tensor(PIXELS), 3]))
    several = [["a.jpg"], ("a.jpg", "b.jpg"), ("a.jpg", Path("b.jpg")), iter([]), {"a": PIXELS}, {"a.jpg"}]
    series = pd.Series(["a.jpg", "b.jpg"])
    assert not any(map(is_one_image, [*several, np.stack([PIXELS] * 2), np.array(["a.jpg", "b.jpg"]), series]))


def test_several_images_are_named():
    assert list(map(image_name, name_images([b"x", "a.jpg", Path("b.jpg"), ("c", b"x"), PIXELS]))) == [
        "image 1", "a.jpg", "b.jpg", "c", "image 5"
    ]  # fmt: skip
    assert [name for name, _ in name_images({"one": PIXELS, "two": b"x"})] == ["one", "two"]
    assert [name for name, _ in name_images(np.stack([PIXELS] * 2))] == ["image 1", "image 2"]
    assert list(name_images(Path("a.jpg"))) == ["a.jpg"]
    assert list(name_images(pd.Series(["a.jpg", "b.jpg"]))) == ["a.jpg", "b.jpg"]


def test_a_text_instead_of_several_images_is_an_error():
    with pytest.raises(ImageError, match=r"Expected several images, got the text 'photo.jpg'; .* \['photo.jpg'\]"):
        name_images("photo.jpg")


def test_a_generator_may_reuse_its_buffer():
    def frames():
        buffer = np.zeros((4, 4, 3), np.uint8)
        for value in range(3):
            buffer[:] = value
            yield buffer

    named = list(name_images(frames()))
    assert [np.asarray(image)[0, 0, 0] for _, image in named] == [0, 1, 2]
