"""Batches: every caption once per epoch, little padding, one order per seed."""

import functools

import numpy as np
import pytest

from caption_tx.data.batches import rows as rows_module
from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.rows import RowOptions, cached_rows, image_rows
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.vocabulary import END, PAD, START, UNK
from caption_tx.training.training_model import TrainingModel

IMAGES, BATCH = 23, 5
UNCOUNTED = (PAD, UNK)


@pytest.fixture(scope="module", params=[rows_module.MEMORY_BYTES, 0], ids=["in memory", "read each epoch"])
def batches(cache, packed, request):
    """Batches of an epoch as NumPy, from the cache; each `attempt` reads them again."""

    @functools.cache
    def batches(seed, attempt=1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows_module, "MEMORY_BYTES", request.param)
            rows = cached_rows(cache, packed, RowOptions(seed))
        return list(packed_batches(rows, packed, BATCH, UNCOUNTED, seed).as_numpy_iterator())

    return batches


def captions_of(all_batches):
    """Every caption as (inputs, labels), in their order."""
    captions = []
    for inputs, labels, _ in all_batches:
        for row in range(len(labels)):
            for segment in range(1, inputs["segment_ids"][row].max() + 1):
                mask = inputs["segment_ids"][row] == segment
                captions.append((tuple(inputs["token_ids"][row][mask]), tuple(labels[row][mask])))
    return captions


@pytest.mark.parametrize("seed", [None, 1])
def test_every_caption_occurs_once_per_epoch_with_shifted_labels(batches, packed, seed):
    captions = captions_of(batches(seed))
    assert len(captions) == len(set(captions)) == len(packed.tokens)
    for tokens, labels in captions:
        assert tokens[0] == START
        assert labels[-1] == END
        assert tokens[1:] == labels[:-1]


def test_positions_restart_with_every_caption(batches):
    for inputs, _, _ in batches(1):
        starts = (inputs["token_ids"] == START) & (inputs["segment_ids"] > 0)
        for row in range(len(starts)):
            start_indices = np.flatnonzero(starts[row])
            indices = np.flatnonzero(inputs["segment_ids"][row])
            expected = [index - start_indices[start_indices <= index].max() for index in indices]
            assert inputs["positions"][row][indices].tolist() == expected


def test_order_follows_the_seed(batches):
    first, again, other = captions_of(batches(1)), captions_of(batches(1, attempt=2)), captions_of(batches(2))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_without_a_seed_rows_keep_the_order_of_the_shards(batches):
    assert captions_of(batches(None)) == captions_of(batches(None, attempt=2))


def test_each_epoch_has_another_order(cache, packed):
    dataset = packed_batches(cached_rows(cache, packed, RowOptions(1)), packed, BATCH, UNCOUNTED, 1)
    epochs = [captions_of(dataset.as_numpy_iterator()) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])


def test_autotuning_is_off(cache, folder, packed):
    options = RowOptions(1)
    for rows in (cached_rows(cache, packed, options), image_rows(open_images(folder), packed, 32, options)):
        assert packed_batches(rows, packed, BATCH, UNCOUNTED, 1).options().autotune.enabled is False


@pytest.mark.parametrize("batch_size", [5, 23, 40])
def test_cardinality_is_known_and_the_last_batch_may_be_smaller(cache, packed, batch_size):
    dataset = packed_batches(cached_rows(cache, packed, RowOptions(1)), packed, batch_size, UNCOUNTED, 1)
    sizes = [len(labels) for _, labels, _ in dataset.as_numpy_iterator()]
    assert int(dataset.cardinality()) == len(sizes) == -(-IMAGES // batch_size)
    assert sum(sizes) == IMAGES
    assert sorted(sizes, reverse=True)[:-1] == [batch_size] * (len(sizes) - 1)


def test_there_is_little_padding(batches):
    shuffled = batches(1)
    real = sum((inputs["segment_ids"] > 0).sum() for inputs, _, _ in shuffled)
    total = sum(inputs["segment_ids"].size for inputs, _, _ in shuffled)
    longest = max(inputs["segment_ids"].shape[1] for inputs, _, _ in shuffled)
    assert 1 - real / total < 0.45
    assert 1 - real / (IMAGES * longest) > 0.6  # the padding if all batches had one length
    assert all((inputs["segment_ids"][:, -1] > 0).any() for inputs, _, _ in shuffled)  # no longer than its longest row


def test_padding_and_unknown_labels_have_weight_zero(cache, pack):
    captions = pack({"000.png": [np.array([START, 5, UNK, 6, END])], "001.png": [np.array([START, END])]})
    (batch,) = packed_batches(cached_rows(cache, captions, RowOptions()), captions, 2, UNCOUNTED, None)
    _, labels, weights = batch
    row = int(np.argmax(np.sum(weights, axis=1)))
    assert weights[row].numpy().tolist() == [1, 0, 1, 1]
    assert weights[1 - row].numpy().tolist() == [1, 0, 0, 0]
    assert labels[row].numpy().tolist()[:4] == [5, UNK, 6, END]


def test_features_belong_to_the_image_of_the_row(batches, cache, packed):
    stored = dict(zip(packed.images, cache.load(packed.images), strict=True))
    first_tokens = (tuple(packed.tokens[first][:4].tolist()) for first in packed.caption_splits[:-1])
    image_of = dict(zip(first_tokens, packed.images, strict=True))
    for inputs, _, _ in batches(1):
        for row, tokens in enumerate(inputs["token_ids"]):
            np.testing.assert_array_equal(inputs["features"][row], stored[image_of[tuple(tokens[:4])]])


def test_images_and_cache_give_the_same_logits(folder, packed, cache, backbone, make_captioner):
    captioner = make_captioner(feature_shape=backbone.feature_shape, max_length=40, num_layers=1)
    pipelines = {
        "images": (image_rows(open_images(folder), packed, 32, RowOptions()), TrainingModel(captioner, backbone)),
        "cache": (cached_rows(cache, packed, RowOptions()), TrainingModel(captioner)),
    }
    results = {}
    for name, (rows, model) in pipelines.items():
        results[name] = {}
        for inputs, labels, weights in packed_batches(rows, packed, BATCH, UNCOUNTED, None):
            assert set(inputs) >= {"token_ids", "positions", "segment_ids"}
            logits = np.asarray(model(inputs))
            for row in range(len(labels)):
                count = int(np.count_nonzero(inputs["segment_ids"][row]))
                key = tuple(labels[row].numpy()[:count])
                results[name][key] = logits[row, :count], weights[row].numpy()[:count]
    assert results["images"].keys() == results["cache"].keys()
    assert len(results["cache"]) == IMAGES
    for key, (logits, weights) in results["images"].items():
        np.testing.assert_allclose(logits, results["cache"][key][0], atol=1e-5)
        np.testing.assert_array_equal(weights, results["cache"][key][1])


def counted_rows(batch):
    """(tokens, labels, weights, sum of the features) of each row of a batch that has a counted label."""
    inputs, labels, weights = batch
    rows = [
        (
            *map(bytes, (inputs["token_ids"][row], labels[row], weights[row])),
            int(inputs["features"][row].sum(dtype=int)),
        )
        for row in range(len(labels))
    ]
    return sorted(row for row, counted in zip(rows, weights.any(axis=1), strict=True) if counted)


@pytest.fixture(scope="module")
def two_epochs(sharded, packed):
    """Makes the batches of two epochs as NumPy, of one worker."""

    def two_epochs(in_memory, seed, rank=0, world_size=1, parts=1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows_module, "MEMORY_BYTES", rows_module.MEMORY_BYTES if in_memory else 0)
            rows = cached_rows(sharded, packed, RowOptions(seed, 1 if seed is None else 2, rank, world_size))
        dataset = packed_batches(rows, packed, BATCH, UNCOUNTED, seed, parts)
        return [batch for _ in range(2) for batch in dataset.as_numpy_iterator()]

    return two_epochs


@pytest.fixture(scope="module")
def whole_batches(two_epochs):
    """The batches of two epochs of a single worker, made once."""
    return functools.cache(two_epochs)


@pytest.mark.parametrize(
    ("whole_shards", "world_size", "parts", "seed", "in_memory"),
    [
        (True, 2, 1, 3, False),
        (False, 1, 2, 3, False),
        (False, 2, 2, 3, True),
        (False, 3, 1, None, True),
    ],
)
def test_workers_and_devices_divide_each_batch(
    whole_batches, two_epochs, monkeypatch, whole_shards, world_size, parts, seed, in_memory
):
    """In the second epoch too, which has another order than the first."""
    monkeypatch.setattr(rows_module, "SHARDS_PER_WORKER", 1 if whole_shards else 1000)
    whole = whole_batches(in_memory, seed)
    divided = [two_epochs(in_memory, seed, rank, world_size, parts) for rank in range(world_size)]
    assert {len(own) for own in divided} == {len(whole) * parts}
    for index, batch in enumerate(whole):
        batch_parts = [part for own in divided for part in own[index * parts : (index + 1) * parts]]
        assert sorted(row for part in batch_parts for row in counted_rows(part)) == counted_rows(batch)
        assert {labels.shape[1] for _, labels, _ in batch_parts} == {batch[1].shape[1]}
