"""Images to encode, and how they are encoded into small caches."""

import os

import pytest

from caption_tx.data.features.encoding import EncodingOptions, encode_images


@pytest.fixture
def folder(tmp_path, write_pictures):
    """Eleven images."""
    write_pictures(tmp_path / "images", 11)
    return tmp_path / "images"


@pytest.fixture
def encode(folder, tmp_path, backbone):
    """Encodes images of `folder` into `cache`, in small shards."""

    def encode(names=None, **options):
        names = sorted(os.listdir(folder)) if names is None else names
        options = {"batch_size": 2, "shard_size": 4} | options
        cache = str(options.pop("cache", tmp_path / "cache"))
        images = options.pop("images", str(folder))
        backbone_used, progress = options.pop("backbone", backbone), options.pop("progress", None)
        return encode_images(names, images, cache, backbone_used, EncodingOptions(**options), progress)

    return encode
