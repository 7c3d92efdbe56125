import numpy as np
import pytest

from caption_tx.cores import count_cores
from caption_tx.data.images.decoding import read_image
from caption_tx.data.images.reader import REMOTE_READERS, read_image_batches, reader_threads
from caption_tx.data.images.sources import open_images


@pytest.fixture(scope="module")
def names(tmp_path_factory, write_pictures):
    """Eleven images, two damaged ones and a missing one."""
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, 11)
    (folder / "003x.png").write_bytes(b"not an image")
    (folder / "007x.png").write_bytes((folder / "007.png").read_bytes()[:300])
    return [*sorted(map(str, folder.iterdir())), f"{folder}/missing.png"]


def test_batches_contain_the_images_in_order_and_the_errors(names):
    batches = list(read_image_batches(iter(names), open_images(""), 32, 4))
    assert [len(batch.names) for batch in batches] == [4, 4, 4, 2]
    assert [name for batch in batches for name in batch.names] == names
    failed = [batch.names[row] for batch in batches for row in batch.errors]
    assert [name[-8:] for name in failed] == ["003x.png", "007x.png", "sing.png"]
    for batch in batches:
        readable = [name for row, name in enumerate(batch.names) if row not in batch.errors]
        assert len(readable) == len(batch.contents) == len(batch.pixels)
        for name, content, pixels in zip(readable, batch.contents, batch.pixels, strict=True):
            expected_content, expected = read_image(name, 32)
            assert content == expected_content
            np.testing.assert_array_equal(pixels, expected)


def test_remote_stores_are_read_by_many_threads():
    assert reader_threads(open_images("photos")) == count_cores()
    assert reader_threads(open_images("gs://bucket/photos")) == REMOTE_READERS
