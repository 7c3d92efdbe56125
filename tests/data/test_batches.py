"""Packed rows and their batches: every caption once, little padding, one order per seed."""

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.data import batches as batches_module
from caption_tx.data.batches import cached_rows, pack_captions, packed_batches, picture_rows
from caption_tx.data.features.encoding import encode_images
from caption_tx.data.images.decoding import read_image
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.tokenizer import TokenLists
from caption_tx.data.text.vocabulary import END, PAD, START, UNK
from caption_tx.training.training_model import TrainingModel

IMAGES, BATCH = 23, 5
UNCOUNTED = (PAD, UNK)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_pictures):
    path = tmp_path_factory.mktemp("images")
    write_pictures(path, IMAGES)
    return str(path)


def pack(captions, weights=None):
    """Packs {image: [token_ids, ..]}."""
    rows = [np.array(row) for rows in captions.values() for row in rows]
    splits = np.cumsum([0, *map(len, rows)])
    images = [image for image, rows in captions.items() for _ in rows]
    return pack_captions(images, TokenLists(np.concatenate([*rows, []]).astype(np.int32), splits), weights)


def captions_in(packed):
    """The captions of each image, as they were packed."""
    splits = packed.caption_splits
    return {
        image: [packed.tokens[number].tolist() for number in range(splits[row], splits[row + 1])]
        for row, image in enumerate(packed.images)
    }


@pytest.fixture(scope="module")
def packed():
    """One to four captions an image, mostly short, a few long; each has a number of its own in base 7."""
    random = np.random.default_rng(0)
    captions, number = {}, 0
    for image in range(IMAGES):
        rows = []
        for _ in range(random.integers(1, 5)):
            digits = [number // 49 + 4, number // 7 % 7 + 4, number % 7 + 4]
            filling = [11] * int(random.choice([0, 1, 2, 30], p=[0.4, 0.3, 0.2, 0.1]))
            rows.append(np.array([START, *digits, *filling, END], np.int32))
            number += 1
        captions[f"{image:03d}.png"] = rows
    return pack(captions)


@pytest.fixture(scope="module")
def cache(folder, packed, backbone, tmp_path_factory):
    return encode_images(
        packed.images, folder, str(tmp_path_factory.mktemp("cache")), backbone, flips=True, shard_size=7
    )


@pytest.fixture(scope="module", params=[batches_module.HELD_BYTES, 0], ids=["held in memory", "read each epoch"])
def batches(cache, packed, request):
    """Batches of an epoch as NumPy, from the cache."""

    def batches(seed=None, views=1, batch_size=BATCH, captions=packed):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches_module, "HELD_BYTES", request.param)
            rows = cached_rows(cache, captions, seed, views)
        return list(packed_batches(rows, captions, batch_size, UNCOUNTED, seed).as_numpy_iterator())

    return batches


def captions_of(all_batches):
    """Every caption as (inputs, labels), in the order they come."""
    found = []
    for inputs, labels, _ in all_batches:
        for row in range(len(labels)):
            for segment in range(1, inputs["segment_ids"][row].max() + 1):
                here = inputs["segment_ids"][row] == segment
                found.append((tuple(inputs["token_ids"][row][here]), tuple(labels[row][here])))
    return found


def test_packing_by_hand(cache):
    images = ["001.png", "000.png", "001.png"]
    tokens = TokenLists(np.array([2, 7, 3, 2, 3, 2, 8, 9]), np.array([0, 3, 5, 8]))
    packed = pack_captions(images, tokens, np.array([0.5, 1.0, 2.0]))
    assert packed.images == ("001.png", "000.png")
    assert packed.caption_splits.tolist() == [0, 2, 3]
    assert captions_in(packed) == {"001.png": [[2, 7, 3], [2, 8, 9]], "000.png": [[2, 3]]}
    assert packed.weights.tolist() == [0.5, 2.0, 1.0]
    (batch,) = packed_batches(cached_rows(cache, packed, None, 1), packed, 2, UNCOUNTED, None)
    inputs, labels, weights = batch
    row = int(np.argmax(np.count_nonzero(inputs["segment_ids"], axis=1)))
    found = {name: inputs[name][row].numpy().tolist() for name in ("token_ids", "positions", "segment_ids")}
    # The last caption was cut at a length limit: its last token is a label, without an end mark.
    assert found == {"token_ids": [2, 7, 2, 8], "positions": [0, 1, 0, 1], "segment_ids": [1, 1, 2, 2]}
    assert labels[row].numpy().tolist() == [7, 3, 8, 9]
    assert weights[row].numpy().tolist() == [0.5, 0.5, 2, 2]
    assert labels[1 - row, :2].numpy().tolist() == [3, 0]
    assert {inputs[name].dtype for name in found} == {tf.int32}


def test_nothing_packs_to_nothing():
    assert pack({}).caption_splits.tolist() == [0]


@pytest.mark.parametrize("seed", [None, 3])
def test_every_caption_comes_once_an_epoch_with_labels_one_token_on(batches, packed, seed):
    found = captions_of(batches(seed))
    assert len(found) == len(set(found)) == len(packed.tokens)
    for tokens, labels in found:
        assert tokens[0] == START
        assert labels[-1] == END
        assert tokens[1:] == labels[:-1]


def test_positions_restart_with_every_caption(batches):
    for inputs, _, _ in batches(1):
        starts = (inputs["token_ids"] == START) & (inputs["segment_ids"] > 0)
        for row in range(len(starts)):
            places = np.flatnonzero(starts[row])
            real = np.flatnonzero(inputs["segment_ids"][row])
            wanted = [place - places[places <= place].max() for place in real]
            assert inputs["positions"][row][real].tolist() == wanted


def test_order_follows_the_seed(batches):
    first, again, other = (captions_of(batches(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_without_a_seed_rows_keep_the_order_of_the_shards(batches):
    assert captions_of(batches(None)) == captions_of(batches(None))


def test_a_second_epoch_of_one_dataset_comes_in_another_order(cache, packed):
    dataset = packed_batches(cached_rows(cache, packed, 1, 1), packed, BATCH, UNCOUNTED, 1)
    epochs = [captions_of(dataset.as_numpy_iterator()) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])


def test_nobody_waits_for_tensorflows_tuning_at_the_end_of_an_epoch(cache, folder, packed):
    for rows in (cached_rows(cache, packed, 1, 1), picture_rows(open_images(folder), packed, 32, 1, 1)):
        assert packed_batches(rows, packed, BATCH, UNCOUNTED, 1).options().autotune.enabled is False


@pytest.mark.parametrize("seed", [None, 5])
def test_features_that_fit_in_memory_are_read_once(folder, packed, backbone, tmp_path, monkeypatch, seed):
    """After an epoch the shards may go: with room for them they are not opened again, without they are."""
    held = encode_images(packed.images, folder, str(tmp_path), backbone, flips=True)
    size = IMAGES * held.record_bytes
    datasets = []
    for room in (size, size - 1):
        monkeypatch.setattr(batches_module, "HELD_BYTES", room)
        dataset = packed_batches(cached_rows(held, packed, seed, 2), packed, BATCH, UNCOUNTED, seed)
        assert sum(len(labels) for _, labels, _ in dataset) == IMAGES
        datasets.append(dataset)
    for path in tmp_path.glob("*.tfrecord"):
        path.unlink()
    assert sum(len(labels) for _, labels, _ in datasets[0]) == IMAGES
    with pytest.raises(tf.errors.NotFoundError):
        list(datasets[1])


@pytest.mark.parametrize("batch_size", [1, 5, 23, 40])
def test_number_of_batches_is_known_and_the_last_may_be_smaller(cache, packed, batch_size):
    dataset = packed_batches(cached_rows(cache, packed, 1, 1), packed, batch_size, UNCOUNTED, 1)
    sizes = [len(labels) for _, labels, _ in dataset.as_numpy_iterator()]
    assert int(dataset.cardinality()) == len(sizes) == -(-IMAGES // batch_size)
    assert sum(sizes) == IMAGES
    assert sorted(sizes, reverse=True)[:-1] == [batch_size] * (len(sizes) - 1)


def test_padding_is_little(batches):
    shuffled = batches(1)
    real = sum((inputs["segment_ids"] > 0).sum() for inputs, _, _ in shuffled)
    room = sum(inputs["segment_ids"].size for inputs, _, _ in shuffled)
    longest = max(inputs["segment_ids"].shape[1] for inputs, _, _ in shuffled)
    assert 1 - real / room < 0.45
    assert 1 - real / (IMAGES * longest) > 0.6  # what one length for all would cost
    assert all((inputs["segment_ids"][:, -1] > 0).any() for inputs, _, _ in shuffled)  # no longer than its longest row


def test_padding_and_unknown_labels_weigh_nothing_and_others_one(cache):
    captions = pack({"000.png": [np.array([START, 5, UNK, 6, END])], "001.png": [np.array([START, END])]})
    (batch,) = packed_batches(cached_rows(cache, captions, None, 1), captions, 2, UNCOUNTED, None)
    _, labels, weights = batch
    row = int(np.argmax(np.sum(weights, axis=1)))
    assert weights[row].numpy().tolist() == [1, 0, 1, 1]
    assert weights[1 - row].numpy().tolist() == [1, 0, 0, 0]
    assert labels[row].numpy().tolist()[:4] == [5, UNK, 6, END]


def test_features_are_those_of_the_rows_image(batches, cache, packed):
    stored = dict(zip(packed.images, cache.load(packed.images), strict=True))
    image_of = {tuple(captions[0][:4]): image for image, captions in captions_in(packed).items()}
    for inputs, _, _ in batches(4):
        for row, tokens in enumerate(inputs["token_ids"]):
            np.testing.assert_array_equal(inputs["features"][row], stored[image_of[tuple(tokens[:4])]])


def test_only_images_with_captions_come(cache):
    captions = pack({name: [np.array([START, 5, END])] for name in ("020.png", "001.png", "007.png")})
    assert sum(len(row["features"]) > 0 for row in cached_rows(cache, captions, None, 1)) == 3


def views_of(dataset, cache):
    """image row -> which stored view came, 0 or 1."""
    views = {}
    for record in tf.data.TFRecordDataset(cache.paths_holding(cache.images)):
        name, both = cache.parse(record)
        views[name.numpy().decode()] = both.numpy()
    names = sorted(views)
    found = {}
    for row in dataset.as_numpy_iterator():
        both = views[names[row["row"]]]
        found[int(row["row"])] = int(np.array_equal(row["features"], both[1]))
        assert any(np.array_equal(row["features"], view) for view in both)
    return [found[number] for number in sorted(found)]


def test_flips_choose_both_views_and_otherwise_in_every_epoch(cache, packed):
    dataset = cached_rows(cache, packed, 5, views=2)
    first, second = views_of(dataset, cache), views_of(dataset, cache)
    assert len(first) == IMAGES
    for views in (first, second):
        assert 5 <= sum(views) <= IMAGES - 5
    assert first != second
    assert first == views_of(cached_rows(cache, packed, 5, views=2), cache)
    assert views_of(cached_rows(cache, packed, 5, views=1), cache) == [0] * IMAGES


def test_every_view_that_is_asked_for_is_drawn_and_no_other(folder, packed, backbone, tmp_path):
    cropped = encode_images(packed.images, folder, str(tmp_path), backbone, flips=True, crops=3)
    stored = {}
    for record in tf.data.TFRecordDataset(cropped.paths_holding(cropped.images)):
        name, views = cropped.parse(record)
        stored[packed.images.index(name.numpy().decode())] = views.numpy()
    for views in (1, 2, 5):
        drawn = set()
        for row in cached_rows(cropped, packed, 3, views).as_numpy_iterator():
            same = [np.array_equal(row["features"], view) for view in stored[int(row["row"])]]
            drawn.add(same.index(True))
        assert drawn == set(range(views))


def test_pictures_flip_too(folder, packed):
    dataset = picture_rows(open_images(folder), packed, 32, 5, views=2)
    epochs = []
    for _ in range(2):
        mirrored = {}
        for row in dataset.as_numpy_iterator():
            straight = read_image(f"{folder}/{packed.images[row['row']]}", 32)[1]
            mirrored[int(row["row"])] = np.array_equal(row["images"], straight[:, ::-1])
            assert mirrored[int(row["row"])] or np.array_equal(row["images"], straight)
        epochs.append([mirrored[number] for number in range(IMAGES)])
    assert 3 <= sum(epochs[0]) <= IMAGES - 3
    assert epochs[0] != epochs[1]


def test_pictures_and_cache_give_the_same_logits(folder, packed, cache, backbone, make_captioner):
    captioner = make_captioner(feature_shape=backbone.feature_shape, max_length=40)
    ways = {
        "pictures": (picture_rows(open_images(folder), packed, 32, None, 1), TrainingModel(captioner, backbone)),
        "cache": (cached_rows(cache, packed, None, 1), TrainingModel(captioner)),
    }
    found = {}
    for way, (rows, model) in ways.items():
        found[way] = {}
        for inputs, labels, weights in packed_batches(rows, packed, BATCH, UNCOUNTED, None):
            assert set(inputs) >= {"token_ids", "positions", "segment_ids"}
            logits = np.asarray(model(inputs))
            for row in range(len(labels)):
                count = int(np.count_nonzero(inputs["segment_ids"][row]))
                key = tuple(labels[row].numpy()[:count])
                found[way][key] = logits[row, :count], weights[row].numpy()[:count]
    assert found["pictures"].keys() == found["cache"].keys()
    assert len(found["cache"]) == IMAGES
    for key, (logits, weights) in found["pictures"].items():
        np.testing.assert_allclose(logits, found["cache"][key][0], atol=1e-5)
        np.testing.assert_array_equal(weights, found["cache"][key][1])


def test_unreadable_picture_stays_as_a_row_that_does_not_count_and_is_reported_once(folder, packed):
    captions = pack({name: [np.array([START, 5, END])] for name in ("000.png", "missing.png", "001.png")})
    told = []
    rows = picture_rows(open_images(folder), captions, 32, 1, 1, told.append)
    dataset = packed_batches(rows, captions, 2, UNCOUNTED, 1)
    for _ in range(3):
        counted = []
        for inputs, _, weights in dataset.as_numpy_iterator():
            for picture, weight in zip(inputs["images"], weights, strict=True):
                counted.append(weight.sum())
                assert (weight.sum() == 0) == (not picture.any())
        assert sorted(counted) == [0, 2, 2]
    assert len(told) == 1
    assert "missing.png" in told[0]


@pytest.fixture(scope="module")
def sharded(folder, packed, backbone, tmp_path_factory):
    """The same features in six shards."""
    path = str(tmp_path_factory.mktemp("sharded"))
    return encode_images(packed.images, folder, path, backbone, flips=True, batch_size=4, shard_size=4)


def real_rows(batch):
    """(tokens, labels, weights, sum of the features) of each row of a batch that counts."""
    inputs, labels, weights = batch
    rows = [
        (
            *map(bytes, (inputs["token_ids"][row], labels[row], weights[row])),
            int(inputs["features"][row].sum(dtype=int)),
        )
        for row in range(len(labels))
    ]
    return sorted(row for row, counted in zip(rows, weights.any(axis=1), strict=True) if counted)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("whole_shards", "workers", "parts", "seed"),
    [(True, 2, 1, 3), (True, 3, 1, None), (False, 2, 2, 3), (False, 5, 1, 3), (False, 1, 2, 3)],
)
def test_workers_divide_each_batch_of_one_process(
    sharded, packed, monkeypatch, whole_shards, workers, parts, seed, held
):
    """In the second epoch too, which comes in another order than the first."""
    monkeypatch.setattr(batches_module, "SHARDS_PER_WORKER", 1 if whole_shards else 1000)
    monkeypatch.setattr(batches_module, "HELD_BYTES", batches_module.HELD_BYTES if held else 0)

    def batches(share, parts):
        rows = cached_rows(sharded, packed, seed, 1 if seed is None else 2, share)
        dataset = packed_batches(rows, packed, BATCH, UNCOUNTED, seed, parts)
        return [batch for _ in range(2) for batch in dataset.as_numpy_iterator()]

    wanted = batches((0, 1), 1)
    found = [batches((worker, workers), parts) for worker in range(workers)]
    assert {len(each) for each in found} == {len(wanted) * parts}
    for number, batch in enumerate(wanted):
        ours = [part for each in found for part in each[number * parts : (number + 1) * parts]]
        assert sorted(row for part in ours for row in real_rows(part)) == real_rows(batch)
        assert {labels.shape[1] for _, labels, _ in ours} == {batch[1].shape[1]}


def test_a_worker_opens_its_own_shards_alone(sharded, packed, tmp_path, monkeypatch):
    import dataclasses
    import shutil

    monkeypatch.setattr("caption_tx.data.batches.SHARDS_PER_WORKER", 3)
    folder = shutil.copytree(sharded.folder, tmp_path / "cache")
    cache = dataclasses.replace(sharded, folder=str(folder))
    for path in cache.paths_holding(packed.images)[1::2]:
        (folder / path).unlink()
    mine = [bool(row["mine"]) for row in cached_rows(cache, packed, 1, 1, (0, 2))]
    assert (len(mine), sum(mine)) == (IMAGES, sum(len(cache.shards[shard]) for shard in sorted(cache.shards)[::2]))
    with pytest.raises(tf.errors.NotFoundError):
        list(cached_rows(cache, packed, 1, 1, (1, 2)))


def test_workers_divide_pictures(folder, packed):
    def rows(share):
        return list(picture_rows(open_images(folder), packed, 32, 1, 2, share=share).as_numpy_iterator())

    wanted, found = rows((0, 1)), [rows((worker, 2)) for worker in range(2)]
    for number, row in enumerate(wanted):
        (mine,) = (each[number] for each in found if each[number]["mine"])
        assert mine["row"] == row["row"]
        np.testing.assert_array_equal(mine["images"], row["images"])
