"""Rows of the cache and of image files: augmentations, memory, and what each worker reads."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.data.batches import rows as rows_module
from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.rows import RowOptions, cached_rows, image_rows
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.images.decoding import read_image
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.vocabulary import END, PAD, START, UNK

IMAGES = 23
UNCOUNTED = (PAD, UNK)


@pytest.mark.parametrize("seed", [None, 5])
def test_features_that_fit_in_memory_are_read_once(folder, packed, backbone, tmp_path, monkeypatch, seed):
    """Without the shards, a second epoch works only if the first one filled the memory."""
    cache = encode_images(packed.images, folder, str(tmp_path), backbone, EncodingOptions(flips=True))
    size = IMAGES * cache.record_bytes
    datasets = []
    for limit in (size, size - 1):
        monkeypatch.setattr(rows_module, "MEMORY_BYTES", limit)
        dataset = packed_batches(cached_rows(cache, packed, RowOptions(seed, 2)), packed, 5, UNCOUNTED, seed)
        assert sum(len(labels) for _, labels, _ in dataset) == IMAGES
        datasets.append(dataset)
    for path in tmp_path.glob("*.tfrecord"):
        path.unlink()
    assert sum(len(labels) for _, labels, _ in datasets[0]) == IMAGES
    with pytest.raises(tf.errors.NotFoundError):
        list(datasets[1])


def test_images_without_captions_have_no_row(cache, pack):
    captions = pack({name: [np.array([START, 5, END])] for name in ("020.png", "001.png", "007.png")})
    assert sum(len(row["features"]) > 0 for row in cached_rows(cache, captions, RowOptions())) == 3


def augmentation_of_each_row(dataset, cache):
    """Which stored augmentation each row has, 0 or 1, in the order of the images."""
    stored = {}
    for record in tf.data.TFRecordDataset(cache.paths_holding(cache.images)):
        name, both = cache.parse(record)
        stored[name.numpy().decode()] = both.numpy()
    names = sorted(stored)
    indices = {}
    for row in dataset.as_numpy_iterator():
        both = stored[names[row["row"]]]
        indices[int(row["row"])] = int(np.array_equal(row["features"], both[1]))
        assert any(np.array_equal(row["features"], one) for one in both)
    return [indices[row] for row in sorted(indices)]


def test_flips_are_drawn_anew_in_every_epoch(cache, packed):
    dataset = cached_rows(cache, packed, RowOptions(5, augmentations=2))
    first, second = augmentation_of_each_row(dataset, cache), augmentation_of_each_row(dataset, cache)
    assert len(first) == IMAGES
    for indices in (first, second):
        assert 5 <= sum(indices) <= IMAGES - 5
    assert first != second
    assert first == augmentation_of_each_row(cached_rows(cache, packed, RowOptions(5, augmentations=2)), cache)
    assert augmentation_of_each_row(cached_rows(cache, packed, RowOptions(5)), cache) == [0] * IMAGES


def test_all_requested_augmentations_are_drawn_and_no_others(folder, packed, backbone, tmp_path):
    cropped = encode_images(packed.images, folder, str(tmp_path), backbone, EncodingOptions(flips=True, crops=3))
    stored = {}
    for record in tf.data.TFRecordDataset(cropped.paths_holding(cropped.images)):
        name, augmented = cropped.parse(record)
        stored[packed.images.index(name.numpy().decode())] = augmented.numpy()
    for augmentations in (1, 2, 5):
        drawn = set()
        for row in cached_rows(cropped, packed, RowOptions(3, augmentations)).as_numpy_iterator():
            same = [np.array_equal(row["features"], features) for features in stored[int(row["row"])]]
            drawn.add(same.index(True))
        assert drawn == set(range(augmentations))


def test_image_files_are_flipped_too(folder, packed):
    dataset = image_rows(open_images(folder), packed, 32, RowOptions(5, augmentations=2))
    epochs = []
    for _ in range(2):
        mirrored = {}
        for row in dataset.as_numpy_iterator():
            original = read_image(f"{folder}/{packed.images[row['row']]}", 32)[1]
            mirrored[int(row["row"])] = np.array_equal(row["images"], original[:, ::-1])
            assert mirrored[int(row["row"])] or np.array_equal(row["images"], original)
        epochs.append([mirrored[index] for index in range(IMAGES)])
    assert 3 <= sum(epochs[0]) <= IMAGES - 3
    assert epochs[0] != epochs[1]


def test_an_unreadable_image_is_a_black_row_without_counted_labels_and_is_reported_once(folder, pack):
    captions = pack({name: [np.array([START, 5, END])] for name in ("000.png", "missing.png", "001.png")})
    log = []
    rows = image_rows(open_images(folder), captions, 32, RowOptions(1), log.append)
    dataset = packed_batches(rows, captions, 2, UNCOUNTED, 1)
    for _ in range(3):
        counted = []
        for inputs, _, weights in dataset.as_numpy_iterator():
            for image, weight in zip(inputs["images"], weights, strict=True):
                counted.append(weight.sum())
                assert (weight.sum() == 0) == (not image.any())
        assert sorted(counted) == [0, 2, 2]
    assert len(log) == 1
    assert "missing.png" in log[0]


def test_a_worker_opens_only_its_own_shards(sharded, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "SHARDS_PER_WORKER", 3)
    folder = shutil.copytree(sharded.folder, tmp_path / "cache")
    copied = dataclasses.replace(sharded, folder=str(folder))
    for path in copied.paths_holding(packed.images)[1::2]:
        (folder / path).unlink()
    mine = [bool(row["mine"]) for row in cached_rows(copied, packed, RowOptions(1, rank=0, world_size=2))]
    own_images = sum(len(copied.shards[shard]) for shard in sorted(copied.shards)[::2])
    assert (len(mine), sum(mine)) == (IMAGES, own_images)
    with pytest.raises(tf.errors.NotFoundError):
        list(cached_rows(copied, packed, RowOptions(1, rank=1, world_size=2)))


def test_workers_divide_image_files(folder, packed):
    def rows(rank, world_size):
        options = RowOptions(1, 2, rank, world_size)
        return list(image_rows(open_images(folder), packed, 32, options).as_numpy_iterator())

    whole, divided = rows(0, 1), [rows(rank, 2) for rank in range(2)]
    for index, row in enumerate(whole):
        (mine,) = (own[index] for own in divided if own[index]["mine"])
        assert mine["row"] == row["row"]
        np.testing.assert_array_equal(mine["images"], row["images"])
