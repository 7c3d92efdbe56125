"""Images as Python programs have them: paths, bytes, open files, PIL images, arrays and tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image

from caption_tx.data.images.decoding import MAX_BYTES, check_length, resize
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError
from caption_tx.escaping import printable


class ArrayLike(Protocol):
    """A NumPy array, or a tensor of TensorFlow, PyTorch or JAX."""

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray: ...


ImageLike = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO | Image.Image | ArrayLike | tuple[str, Any]
"""An image: a path, or `TABLE.tsv/ID`; the bytes of an image file, or such a file that is open; a PIL image; a uint8
array or tensor (H, W, 3) or (H, W); or a pair of a name and any of these. Transparency is shown on white."""

NamedImage = str | Path | tuple[str, bytes | Image.Image | ImageError]
"""The name of an image, or (name, content) of an image that is not in a file: the bytes of an image file, its pixels,
or why it cannot be read."""

_CHANNELS = (1, 3, 4)


def image_name(image: NamedImage) -> str:
    """The name of an image with or without its content.

    Example:
        >>> image_name(("cat", b"..."))
        'cat'
    """
    return image[0] if isinstance(image, tuple) else str(image)


def is_one_image(images: Any) -> bool:
    """Whether a value is one image rather than several. An array (H, W, 3) or (H, W) is one, (B, H, W, 3) several.

    Example:
        >>> is_one_image("cat.jpg"), is_one_image(["cat.jpg"])
        (True, False)
    """
    if isinstance(images, tuple):
        return len(images) == 2 and isinstance(images[0], str) and not isinstance(images[1], str | os.PathLike)
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image) or hasattr(images, "read"):
        return True
    if hasattr(images, "__array__") and hasattr(images, "shape"):  # a pandas Series, of any length, is several
        return len(images.shape) in (0, 2, 3)
    return not isinstance(images, Iterable)


def name_images(images: Iterable[ImageLike] | ImageLike) -> Iterator[NamedImage]:
    """Names several images, one after another; a generator is read lazily.

    An image without a name is called "image 1", "image 2" and so on, by its position. An open file or a PIL image has
    the name of its file. Pixels are copied, so that a generator may reuse its buffer.

    Args:
        images: an iterable of images, or a mapping of names to images. One image that is not a text is several too.

    Raises:
        ImageError: `images` is a text, which would be a sequence of letters; or an image has an unknown form. An image
            of a known form that cannot be read is yielded with its error instead.

    Example:
        >>> [name for name, content in name_images([b"...", ("cat", b"...")])]
        ['image 1', 'cat']
    """
    if isinstance(images, str):
        raise ImageError(
            f"Expected several images, got the text {images[:80]!r}; pass a list, such as [{images[:80]!r}]."
        )
    if is_one_image(images):
        images = [images]
    elif isinstance(images, Mapping):
        images = images.items()
    return (name_image(image, f"image {number}") for number, image in enumerate(images, 1))


def name_image(image: ImageLike, default: str = "image") -> NamedImage:
    """Names one image; `default` is the name of an image without one.

    Raises:
        ImageError: it has an unknown form.

    Example:
        >>> name, content = name_image(np.zeros((32, 48, 3), np.uint8))
        >>> name, content.size
        ('image', (48, 32))
    """
    if isinstance(image, str):
        return image
    if isinstance(image, os.PathLike):
        return os.fsdecode(image)
    if isinstance(image, tuple):
        if len(image) != 2 or not isinstance(image[0], str):
            raise ImageError(f"Expected a pair of a name and an image, got a tuple of {len(image)}.")
        name, content = image
        if isinstance(content, ImageError):
            return name, content
        return name, _content(content, name)
    own = getattr(image, "filename", None) or getattr(image, "name", None)
    name = own if isinstance(own, str) and (isinstance(image, Image.Image) or hasattr(image, "read")) else default
    return name, _content(image, name)


def _content(image: Any, name: str) -> bytes | Image.Image | ImageError:
    """What an image that is not the path of a file consists of."""
    try:
        if isinstance(image, str | os.PathLike):
            return open_images("").read_bytes(os.fsdecode(image))
        if isinstance(image, bytes | bytearray | memoryview):
            return bytes(image)
        if isinstance(image, Image.Image):
            return image.copy()  # which loads it, in one thread
        if hasattr(image, "read"):
            return _read(image, name)
    except ImageError as error:
        return error
    except (OSError, ValueError, SyntaxError) as error:  # a closed or damaged file
        return ImageError(f"{name} cannot be read: {error}.")
    if hasattr(image, "__array__"):
        return _from_array(image, name)
    raise ImageError(
        f"Expected an image, got {_kind(image)}; pass a path, bytes, an open file, a PIL image, or a uint8 array of "
        "shape (H, W, 3) or (H, W)."
    )


def _read(file: BinaryIO, name: str) -> bytes:
    """The whole content of an open file, wherever it was read to."""
    if hasattr(file, "seekable") and file.seekable():
        file.seek(0)
    data = file.read(MAX_BYTES + 1)
    if isinstance(data, str):
        raise ImageError(f"{name} is open as text; open it with mode 'rb'.")
    check_length(len(data), name)
    return bytes(data)


def _from_array(image: Any, name: str) -> Image.Image:
    """A PIL image with the pixels of an array."""
    try:
        pixels = np.asarray(image)
    except Exception as error:  # a symbolic tensor, or one that is on a GPU
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{name} has no values that can be read: {_kind(image)} ({reason[:120]}).") from None
    expected = "expected uint8 values from 0 to 255, of shape (H, W, 3) or (H, W)"
    found = f"{_kind(image)} of {pixels.dtype} with shape {pixels.shape}"
    if pixels.dtype != np.uint8:
        raise ImageError(f"{name} is {found}; {expected}; {_conversion(pixels)}.")
    if pixels.ndim == 3 and pixels.shape[-1] not in _CHANNELS and pixels.shape[0] in _CHANNELS:
        raise ImageError(f"{name} is {found}; {expected}; move the channels to the end.")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] not in _CHANNELS):
        several = "; pass several images where several are expected, such as `captions`" if pixels.ndim == 4 else ""
        raise ImageError(f"{name} is {found}; {expected}{several}.")
    if 0 in pixels.shape:
        raise ImageError(f"{name} is {found}; it has no pixels.")
    return Image.fromarray(np.array(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))


def _conversion(pixels: np.ndarray) -> str:
    """What to do about an array of another type than uint8."""
    if pixels.dtype == object or not np.issubdtype(pixels.dtype, np.number) or not pixels.size:
        return "convert it to uint8"
    low, high = float(pixels.min()), float(pixels.max())
    found = f"its values are from {low:.4g} to {high:.4g}"
    if low >= 0 and high <= 1:
        return f"{found}: convert it with (255 * image).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return f"{found}: convert it with image.round().astype('uint8')"
    return f"{found}: scale them to 0 to 255, and convert it to uint8"


def _kind(value: Any) -> str:
    """The type of a value for messages, without its content."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    return f"a value of type {printable(name)}"


def read_named_image(image: NamedImage, source: ImageSource, size: int) -> tuple[str, np.ndarray]:
    """Reads an image: (hex content hash, uint8 (size, size, 3)).

    Raises:
        ImageError: it cannot be read.
    """
    if not isinstance(image, tuple):
        return source.read_image(str(image), size)
    name, data = image
    if isinstance(data, ImageError):
        raise data
    content, decoded = source.decode(data, name, size)
    return content, resize(decoded, size)
