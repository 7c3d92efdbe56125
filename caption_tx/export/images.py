"""Image files -> pixels as a TensorFlow graph that follows `data.images.decoding`.

It reads JPEG, PNG, GIF and BMP. The pixels differ from Pillow's by at most 1 of 255 for most images.
"""

from __future__ import annotations

import tensorflow as tf

from caption_tx.data.images.decoding import MAX_PIXELS

_EXIF_BYTES = 1 << 16
"""The EXIF data of a JPEG is within one segment, near the start of the file."""

_JPEG, _PNG, _BMP, _GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF"


def decode_images(data: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Files, string (B,) -> pixels, uint8 (B, size, size, 3), and whether each is readable, boolean (B,).

    Unreadable images are black. They do not affect the others.
    """
    count = tf.shape(data, out_type=tf.int64)[0]
    dataset = tf.data.Dataset.from_tensor_slices((tf.range(count), data))
    dataset = dataset.map(lambda row, file: (row, _decode(file, size)), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.ignore_errors()  # leaves unreadable images out
    last = tf.data.Dataset.from_tensors((count, tf.zeros((size, size, 3), tf.uint8)))  # so that it is never empty
    rows, pixels = dataset.concatenate(last).batch(count + 1).get_single_element()
    readable = tf.scatter_nd(rows[:, None], tf.ones_like(rows, tf.int32), count[None] + 1) > 0
    # float32, because GPUs cannot scatter uint8
    shape = tf.concat([count[None] + 1, tf.constant([size, size, 3], tf.int64)], axis=0)
    placed = tf.scatter_nd(rows[:, None], tf.cast(pixels, tf.float32), shape)
    return tf.ensure_shape(tf.cast(placed, tf.uint8)[:-1], (None, size, size, 3)), readable[:-1]


def _decode(data: tf.Tensor, size: int) -> tf.Tensor:
    """One file, string () -> uint8 (size, size, 3); an error if it is unreadable."""
    image = tf.case(
        [
            (_starts_with(data, _JPEG), lambda: _decode_jpeg(data, size)),
            (_starts_with(data, _PNG), lambda: _decode_png(data)),
        ],
        default=lambda: _decode_other(data),
        exclusive=False,
    )
    resized = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def _starts_with(data: tf.Tensor, prefix: bytes) -> tf.Tensor:
    return tf.strings.substr(data, 0, len(prefix), unit="BYTE") == tf.constant(prefix)


def _check_pixels(height: tf.Tensor, width: tf.Tensor) -> tf.Operation:
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return tf.debugging.assert_less_equal(pixels, tf.constant(MAX_PIXELS, tf.int64))


def _decode_jpeg(data: tf.Tensor, size: int) -> tf.Tensor:
    """A JPEG at the scale that Pillow's `draft` chooses, upright: float32 (H, W, 3)."""
    shape = tf.image.extract_jpeg_shape(data)
    with tf.control_dependencies([_check_pixels(shape[0], shape[1])]):
        scale = tf.minimum(shape[0], shape[1]) // (2 * size)

    def decode(ratio: int) -> tf.Tensor:
        image = tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        return tf.cast(image, tf.float32)

    cases = [(scale >= ratio, lambda ratio=ratio: decode(ratio)) for ratio in (8, 4, 2)]
    return _turn_upright(tf.case(cases, default=lambda: decode(1)), exif_orientation(data))


def _decode_png(data: tf.Tensor) -> tf.Tensor:
    """A PNG on a white background: float32 (H, W, 3)."""
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 16, 8, unit="BYTE"), tf.uint8), tf.int64)
    width, height = tf.unstack(tf.reduce_sum(tf.reshape(header, (2, 4)) * [[1 << 24, 1 << 16, 1 << 8, 1]], axis=1))
    with tf.control_dependencies([_check_pixels(height, width)]):
        image = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    alpha = image[..., 3:] / 255
    return tf.round(image[..., :3] * alpha + 255 * (1 - alpha))


def _decode_other(data: tf.Tensor) -> tf.Tensor:
    """The first frame of a GIF, or a BMP: float32 (H, W, 3)."""
    supported = _starts_with(data, _GIF) | _starts_with(data, _BMP)
    with tf.control_dependencies([tf.debugging.Assert(supported, ["Not a JPEG, PNG, GIF or BMP."])]):
        data = tf.identity(data)
    return tf.cast(tf.image.decode_image(data, channels=3, expand_animations=False), tf.float32)


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Apply an EXIF orientation, int32 () from 1 to 8, to (H, W, 3)."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])  # after the transposition
    flipped = tf.reduce_any(orientation == [3, 4, 7, 8])
    image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
    return tf.cond(flipped, lambda: image[::-1], lambda: image)


def exif_orientation(data: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG, string () -> int32 () from 1 to 8; 1 if there is none or it is damaged."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, 4 * _EXIF_BYTES, unit="BYTE"), tf.uint8), tf.int32)
    head = tf.concat([head, tf.zeros(16, tf.int32)], axis=0)
    limit = tf.size(head) - 16

    def byte(position: tf.Tensor) -> tf.Tensor:
        return head[tf.clip_by_value(position, 0, limit)]

    def is_other_segment(position: tf.Tensor) -> tf.Tensor:
        marker = byte(position + 1)
        text = [byte(position + 4 + index) == letter for index, letter in enumerate(b"Exif\0\0")]
        is_exif = (marker == 0xE1) & tf.reduce_all(tf.stack(text))
        return (byte(position) == 0xFF) & (marker != 0xDA) & (position < limit) & ~is_exif

    def next_segment(position: tf.Tensor) -> tuple[tf.Tensor]:
        is_fill = byte(position + 1) == 0xFF
        length = 2 + 256 * byte(position + 2) + byte(position + 3)
        return (position + tf.where(is_fill, 1, length),)

    [position] = tf.while_loop(is_other_segment, next_segment, [tf.constant(2)])
    is_exif = (position < limit) & (byte(position) == 0xFF) & (byte(position + 1) == 0xE1)
    orientation = tf.cond(is_exif, lambda: _tiff_orientation(byte, position + 10), lambda: tf.constant(1))
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _tiff_orientation(byte: object, start: tf.Tensor) -> tf.Tensor:
    """The value of tag 0x0112 in the first directory of the TIFF data at byte `start`, or 1."""
    little = byte(start) == ord("I")

    def number(position: tf.Tensor, count: int) -> tf.Tensor:
        values = [byte(position + index) for index in range(count)]
        forward = sum(value * 256 ** (count - 1 - index) for index, value in enumerate(values))
        backward = sum(value * 256**index for index, value in enumerate(values))
        return tf.where(little, backward, forward)

    directory = start + tf.clip_by_value(number(start + 4, 4), 0, _EXIF_BYTES)
    count = number(directory, 2)

    def is_other_entry(entry: tf.Tensor) -> tf.Tensor:
        return (entry < count) & (number(directory + 2 + 12 * entry, 2) != 0x0112)

    [entry] = tf.while_loop(is_other_entry, lambda entry: (entry + 1,), [tf.constant(0)])
    return tf.where(entry < count, number(directory + 2 + 12 * entry + 8, 2), 1)
