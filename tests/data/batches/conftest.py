"""Captions of 23 images and caches of their features."""

import numpy as np
import pytest

from caption_tx.data.batches.packing import pack_captions
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.text.tokenizer import TokenLists
from caption_tx.data.text.vocabulary import END, START

IMAGES = 23


@pytest.fixture(scope="session")
def folder(tmp_path_factory, write_pictures):
    """A folder of 23 images."""
    path = tmp_path_factory.mktemp("images")
    write_pictures(path, IMAGES)
    return str(path)


@pytest.fixture(scope="session")
def pack():
    """Packs {image: [token_ids, ..]}."""

    def pack(captions):
        rows = [np.array(row) for rows in captions.values() for row in rows]
        splits = np.cumsum([0, *map(len, rows)])
        images = [image for image, rows in captions.items() for _ in rows]
        return pack_captions(images, TokenLists(np.concatenate([*rows, []]).astype(np.int32), splits))

    return pack


@pytest.fixture(scope="session")
def packed(pack):
    """One to four captions per image, mostly short, a few long; each begins with its index in base 7."""
    random = np.random.default_rng(0)
    captions, index = {}, 0
    for image in range(IMAGES):
        rows = []
        for _ in range(random.integers(1, 5)):
            digits = [index // 49 + 4, index // 7 % 7 + 4, index % 7 + 4]
            filling = [11] * int(random.choice([0, 1, 2, 30], p=[0.4, 0.3, 0.2, 0.1]))
            rows.append(np.array([START, *digits, *filling, END], np.int32))
            index += 1
        captions[f"{image:03d}.png"] = rows
    return pack(captions)


@pytest.fixture(scope="session")
def cache(folder, packed, backbone, tmp_path_factory):
    """Features of the images and of their mirror images."""
    path = str(tmp_path_factory.mktemp("cache"))
    return encode_images(packed.images, folder, path, backbone, EncodingOptions(flips=True))


@pytest.fixture(scope="session")
def sharded(folder, packed, backbone, tmp_path_factory):
    """The same features in six shards."""
    path = str(tmp_path_factory.mktemp("sharded"))
    return encode_images(packed.images, folder, path, backbone, EncodingOptions(flips=True, batch_size=4, shard_size=4))
