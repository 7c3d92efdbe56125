import os
import uuid

import pytest
from PIL import Image


@pytest.fixture
def write_table(tmp_path):
    """Writes rows of columns, text or bytes, to a TSV file."""

    def write(rows, name="images.tsv", end=b"\n", begin=b""):
        lines = [b"\t".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in row) for row in rows]
        path = tmp_path / name
        path.write_bytes(begin + end.join([*lines, b""]))
        return str(path)

    return write


@pytest.fixture(params=["local", "ram"])
def store(request, tmp_path):
    """Writes files to a local folder or a remote store and returns its location."""
    location = str(tmp_path / "store") if request.param == "local" else f"ram://{uuid.uuid4().hex}/图片"

    def write(files: dict[str, bytes]) -> str:
        import tensorflow as tf

        for name, data in files.items():
            path = f"{location}/{name}"
            tf.io.gfile.makedirs(os.path.dirname(path))
            if tf.io.gfile.exists(path):  # "ram" would append to it
                tf.io.gfile.remove(path)
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(data)
        return location

    return write


@pytest.fixture
def read(tmp_path):
    """Reads an image file with these bytes."""
    from caption_tx.data.images.decoding import read_pil_image

    def read(data: bytes, size: int | None = None) -> Image.Image:
        (tmp_path / "image.jpg").write_bytes(data)
        return read_pil_image(str(tmp_path / "image.jpg"), size)[1]

    return read
