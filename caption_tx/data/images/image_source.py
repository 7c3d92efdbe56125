"""`ImageSource`: the interface of folders and tables of images."""

from __future__ import annotations

import os
import threading
from collections.abc import Container, Iterator

import numpy as np
from PIL import Image

from caption_tx.data.images.decoding import decode_image, resize
from caption_tx.data.images.interpretation import interpretation_notes


class ImageSource:
    """Images by name. Safe to share between threads.

    Args:
        location: a path, local or on a remote store.

    Attributes:
        unlisted: subfolders that `names` or `walk` could not list, and why. Their images are left out.
        interpreted: what was read differently from how an image viewer shows it: kind -> name of an image -> detail,
            see `interpretation.KINDS`.
        num_decoded: number of images that were decoded.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.unlisted: dict[str, str] = {}
        self.interpreted: dict[str, dict[str, str]] = {}
        self.num_decoded = 0
        self._decoded_lock = threading.Lock()

    def read_bytes(self, name: str) -> bytes:
        """Reads the image file `name`.

        Raises:
            MissingImageError: there is no such image.
            ImageError: it cannot be read. The message names the location, the image and the reason.
        """
        raise NotImplementedError

    def names(self) -> list[str]:
        """The names of all images that `walk` finds, sorted.

        Raises:
            ImageError: they cannot be listed.
        """
        raise NotImplementedError

    def walk(self) -> Iterator[str]:
        """Yields the names of all images while it finds them, without those that are not the user's.

        Left out are names that begin with a dot (thumbnails, the `._` companions of macOS) and everything in folders
        of the system such as `__MACOSX`, `@eaDir` and `#recycle`; see `is_system_name`.

        Raises:
            ImageError: they cannot be listed.
        """
        yield from self.names()

    def stamp(self, name: str) -> str | None:
        """A text that changes when the image does and is cheap to compute, or None if there is no such image."""
        raise NotImplementedError

    def read_pil_image(self, name: str, size: int | None = None) -> tuple[str, Image.Image]:
        """Reads an image: (hex content hash, RGB image). See `decode_image`."""
        return self.decode(self.read_bytes(name), name, size, self.label(name))

    def decode(
        self, data: bytes | Image.Image, name: str, size: int | None = None, label: str | None = None
    ) -> tuple[str, Image.Image]:
        """Decodes an image, which need not be of this source, and records how it was read. See `decode_image`.

        Args:
            data: the file of the image, or its pixels.
            name: of the image in `interpreted`.
            size: side that it will be resized to.
            label: its name in messages; by default `name`.
        """
        found: dict[str, str] = {}
        decoded = decode_image(data, name if label is None else label, size, found)
        with self._decoded_lock:
            self.num_decoded += 1
            for kind, detail in found.items():
                self.interpreted.setdefault(kind, {})[name] = detail
        return decoded

    def interpretation_notes(self, without: Container[str] = ()) -> list[str]:
        """One line for each kind of `interpreted`, but those in `without`."""
        found = {kind: images for kind, images in self.interpreted.items() if kind not in without}
        return interpretation_notes(found, self.num_decoded)

    def read_image(self, name: str, size: int) -> tuple[str, np.ndarray]:
        """Reads an image: (hex content hash, uint8 (size, size, 3)). Raises the errors of `read_pil_image`."""
        content, image = self.read_pil_image(name, size)
        return content, resize(image, size)

    def label(self, name: str) -> str:
        """The image's name in messages."""
        return os.path.join(self.location, name)

    def notes(self) -> list[str]:
        """What was left out, or read differently from how it is written, so far: one line for each kind."""
        return []

    def tables(self) -> list[ImageSource]:
        """The `ImageTable`s that images were read from so far."""
        return []
