import numpy as np
import pytest
import tensorflow as tf

from caption_tx.data.features.extraction import encode_batches, extract_features
from caption_tx.data.images.decoding import content_hash, read_image
from caption_tx.data.images.sources import open_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_pictures):
    path = tmp_path_factory.mktemp("images")
    write_pictures(path, 7)
    (path / "003.png").write_bytes(b"not an image")
    return path


def test_features_are_those_of_the_backbone_in_the_requested_order(backbone, folder):
    names = ["006.png", "000.png", "005.png", "001.png", "004.png"]
    extracted = extract_features(backbone, str(folder), names, batch_size=2)
    pixels = np.stack([read_image(str(folder / name), 32)[1] for name in names])
    np.testing.assert_array_equal(extracted.features, backbone.encode(pixels).numpy())
    assert extracted.features.dtype == np.uint8
    assert extracted.names == names
    assert extracted.contents == [content_hash((folder / name).read_bytes()) for name in names]
    assert extracted.errors == {}


def test_unreadable_images_are_left_out_and_listed(backbone, folder):
    extracted = extract_features(backbone, open_images(str(folder)), ["003.png", "missing.png", "002.png"], 1)
    assert extracted.names == ["002.png"]
    assert extracted.features.shape == (1, *backbone.feature_shape)
    assert list(extracted.errors) == ["003.png", "missing.png"]
    assert "003.png cannot be read" in str(extracted.errors["003.png"])


def test_without_readable_images_there_are_no_features(backbone, folder):
    for names in ([], ["003.png"]):
        extracted = extract_features(backbone, str(folder), names)
        assert extracted.features.shape == (0, *backbone.feature_shape)
        assert extracted.names == []


def test_batches_are_encoded_as_they_are_requested(backbone, folder):
    images = (("pipe", (folder / f"00{index % 3}.png").read_bytes()) for index in range(10**9))
    batch, features = next(encode_batches(backbone, images, open_images(""), batch_size=4))
    assert batch.names == ["pipe"] * 4
    assert isinstance(features, tf.Tensor)
    assert features.shape == (4, *backbone.feature_shape)
