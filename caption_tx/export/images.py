"""Image files -> pixels as a TensorFlow graph that follows `data.images.decoding`.

It reads JPEG, PNG, GIF and BMP. Few pixels differ from Pillow's, most of them by 1 of 255.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from caption_tx.data.images.decoding import MAX_PIXELS

_HEAD_BYTES = 1 << 18
"""Where EXIF data is searched. It is a segment of at most 64 KB, near the start of the file."""

_MAX_SEGMENTS, _MAX_ENTRIES = 256, 512
"""Limits of the search, so that a damaged file takes no longer than others."""

_PADDING = 16
"""Zeros after the data, so that numbers can be read at its end."""

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
    return _resize(image, size)


def _resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """(H, W, 3) -> uint8 (size, size, 3) with Pillow's antialiased bilinear filter, which rounds after each pass."""
    height, width = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(image)[:2]))
    taps_vertical, taps_horizontal = (tf.maximum(side / size, 1.0) for side in (height, width))
    horizontal_first = height * taps_horizontal + size * taps_vertical
    vertical_first = width * taps_vertical + size * taps_horizontal
    # Pillow 13 starts with the vertical pass if that is much cheaper. The factor was found by trying sizes.
    is_vertical_first = (height > size) & (vertical_first < 0.893 * horizontal_first)
    between = tf.where(is_vertical_first, (size, tf.shape(image)[1]), (tf.shape(image)[0], size))
    for shape in (between, (size, size)):
        image = tf.floor(tf.image.resize(image, shape, antialias=True) + 0.5)  # tf.round would round halves to even
    return tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)


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
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, _HEAD_BYTES, unit="BYTE"), tf.uint8), tf.int32)
    head = tf.concat([head, tf.zeros(_PADDING, tf.int32)], axis=0)
    limit = tf.size(head) - _PADDING

    def is_other_segment(position: tf.Tensor) -> tf.Tensor:
        start = tf.gather(head, tf.minimum(position, limit) + tf.range(10))
        is_exif = (start[1] == 0xE1) & tf.reduce_all(start[4:] == list(b"Exif\0\0"))
        return (start[0] == 0xFF) & (start[1] != 0xDA) & (position < limit) & ~is_exif

    def next_segment(position: tf.Tensor) -> tuple[tf.Tensor]:
        start = tf.gather(head, position + tf.range(4))
        is_fill = start[1] == 0xFF
        return (position + tf.where(is_fill, 1, 2 + 256 * start[2] + start[3]),)

    (position,) = tf.while_loop(is_other_segment, next_segment, (tf.constant(2),), maximum_iterations=_MAX_SEGMENTS)
    position = tf.minimum(position, limit)
    is_exif = tf.reduce_all(tf.gather(head, position + 4 + tf.range(6)) == list(b"Exif\0\0"))
    orientation = tf.cond(is_exif, lambda: _tiff_orientation(head[position + 10 :]), lambda: tf.constant(1))
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _tiff_orientation(tiff: tf.Tensor) -> tf.Tensor:
    """The value of tag 0x0112 in the first directory of TIFF data, int32 (bytes,) -> int32 (), or 1."""
    little, last = tiff[0] == ord("I"), tf.size(tiff) - 4

    def numbers(positions: tf.Tensor, count: int) -> tf.Tensor:
        """Unsigned integers of `count` bytes."""
        parts = tf.gather(tiff, tf.clip_by_value(positions, 0, last)[..., None] + tf.range(count))
        powers = 256 ** np.arange(count, dtype=np.int64)
        return tf.reduce_sum(tf.cast(parts, tf.int64) * tf.where(little, powers, powers[::-1]), axis=-1)

    directory = tf.cast(tf.minimum(numbers(tf.constant(4), 4), _HEAD_BYTES), tf.int32)
    entries = directory + 2 + 12 * tf.range(_MAX_ENTRIES)
    exists = tf.range(_MAX_ENTRIES, dtype=tf.int64) < numbers(directory, 2)
    found = exists & (entries <= last) & (numbers(entries, 2) == 0x0112)
    value = tf.cast(numbers(entries[tf.argmax(found)] + 8, 2), tf.int32)
    return tf.where(tf.reduce_any(found), value, 1)
