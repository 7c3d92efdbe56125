"""Retrieval re-ranking: the index of training images, similarities to their captions, and the search that uses them."""

from dataclasses import replace

import numpy as np
import pytest

from caption_tx.bundle import load_bundle, save_bundle
from caption_tx.bundle_config import RETRIEVAL
from caption_tx.config import DecodingOptions
from caption_tx.data.features.retrieval_index import DIMENSIONS, SAME_IMAGE, RetrievalIndex, build_index
from caption_tx.errors import BundleError, ConfigError
from caption_tx.inference.search.cider import cider_d, count_ngrams, ngram_vectors
from caption_tx.inference.search.decode import decode
from caption_tx.inference.search.ranking import rank_captions
from caption_tx.inference.search.retrieval import Neighborhood, cider_d_matrix, require_index
from caption_tx.inference.search.spec import SearchSpec

SEARCH = DecodingOptions(beam_width=3, consensus=0.4, n_best=3)


def as_grid(pooled):
    return pooled[:, None, None, :]


@pytest.fixture(scope="module")
def pooled():
    return np.random.default_rng(0).random((30, 11), np.float32)


def test_an_image_finds_similar_ones_but_not_itself(pooled):
    index = build_index(pooled, [[[4, 3]]] * 30)
    assert index.projection.shape == (11, 11) and index.vectors.dtype == np.int8
    assert build_index(pooled[:5], [[[4, 3]]] * 5).projection.shape == (11, 5)
    centered = (pooled - pooled.mean(axis=0)) @ index.projection
    directions = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    similarity = directions @ directions.T
    np.fill_diagonal(similarity, -2)
    found = index.nearest(as_grid(pooled), count=1)
    best = [rows[0][0] for rows in found]
    chosen = similarity[np.arange(30), best]  # 8 bits may exchange two neighbors that are equally near
    assert (chosen > similarity.max(axis=1) - 0.02).all()
    np.testing.assert_allclose([rows[0][1] for rows in found], similarity.max(axis=1), atol=0.02)
    assert all(value < SAME_IMAGE for rows in index.nearest(as_grid(pooled)) for _, value in rows)
    near = pooled + np.random.default_rng(1).normal(0, 0.003, pooled.shape)  # as another JPEG quality would give
    assert all(rows[0][0] != own for own, rows in enumerate(index.nearest(as_grid(near), count=1)))


def test_many_channels_are_compressed():
    pooled = np.random.default_rng(0).random((200, 150), np.float32)
    index = build_index(pooled, [[[4, 3], [5, 6, 3]]] * 200)
    assert index.sizes.dimensions == DIMENSIONS and index.sizes.tokens == 1000
    assert index.captions[7] == [[4, 3], [5, 6, 3]]


def test_equal_images_have_no_neighbors():
    index = build_index(np.ones((3, 11), np.float32), [[[4, 3]]] * 3)
    assert np.isfinite(index.projection).all()
    [nearest] = index.nearest(np.ones((1, 2, 2, 11)))
    assert np.isfinite(Neighborhood(index, nearest).similarities([[4, 3]])).all()
    assert Neighborhood(index, []).similarities([[4, 3], [5]]).tolist() == [0, 0]


def test_similarities_are_those_of_cider():
    captions, references = [[5, 6, 7, 3], [5, 5, 5, 3], [8]], [[5, 6, 7, 9, 3], [5, 3], [9, 9]]
    idf = {(5,): 0.5, (5, 6): 2.0, (9,): 0.25}
    expected = [
        [
            cider_d(*(ngram_vectors(count_ngrams(text), idf, 1.5) for text in (caption, reference)))
            for reference in references
        ]
        for caption in captions
    ]
    np.testing.assert_allclose(cider_d_matrix(captions, references, idf, 1.5), expected)


def test_nearer_images_weigh_more_and_each_as_much_as_its_captions_together():
    pooled = np.eye(4, 11, dtype=np.float32)
    index = build_index(pooled, [[[5, 6, 7, 3], [5, 6, 7, 3]], [[8, 9, 10, 3]], [[11, 3]], [[12, 3]]])
    captions = [[5, 6, 7, 3], [8, 9, 10, 3]]
    equal = Neighborhood(index, [(0, 0.5), (1, 0.5)]).similarities(captions)
    assert equal[0] == pytest.approx(equal[1]) and equal[0] == pytest.approx(0.5)
    nearer = Neighborhood(index, [(1, 0.6), (0, 0.5)]).similarities(captions)
    assert nearer[1] == pytest.approx(np.e / (1 + np.e))


def test_the_ranking_follows_the_neighbors():
    spec = SearchSpec(length=4, start_token_id=2, end_token_id=3, pad_token_id=0, width=3, beam=True, n_best=3)
    token_ids = np.array([[5, 6, 7, 3], [5, 6, 8, 3], [9, 10, 11, 3]])
    result = (token_ids, np.full((3, 4), -0.5), np.full(3, -2.0), np.ones(3, bool))
    index = build_index(np.eye(2, 11, dtype=np.float32), [[[9, 10, 11, 3]], [[13, 3]]])
    nearest = Neighborhood(index, [(0, 0.9)])
    plain = rank_captions(spec, SEARCH, 3, result)
    assert plain[0].token_ids == (5, 6, 7, 3)
    ranked = rank_captions(spec, replace(SEARCH, retrieval=8.0), 3, result, nearest)
    assert ranked[0].token_ids == (9, 10, 11, 3) and 0.9 < ranked[0].expected_utility <= 1
    assert rank_captions(spec, replace(SEARCH, retrieval=0.01), 3, result, nearest)[0].token_ids == (5, 6, 7, 3)


def test_retrieval_requires_consensus_and_an_index():
    with pytest.raises(ConfigError, match="retrieval is part of the ranking by consensus"):
        DecodingOptions(beam_width=3, retrieval=8)
    with pytest.raises(ConfigError, match="has none; train it with"):
        require_index(replace(SEARCH, retrieval=8.0), None)
    require_index(SEARCH, None)
    assert replace(SEARCH, retrieval=8.0).override(beam_width=2).retrieval == 0


def random_features(bundle, count):
    shape = bundle.captioner.settings.feature_shape
    return np.random.default_rng(0).random((count, *shape), np.float32)


@pytest.fixture(scope="module")
def with_index(bundle):
    features = random_features(load_bundle(bundle), 6)
    index = build_index(features.mean(axis=(1, 2)), [[[5, 6, 3], [7, 3]]] * len(features))
    return replace(load_bundle(bundle), retrieval=index, decoding=replace(SEARCH, n_best=1, retrieval=8.0))


def test_a_bundle_keeps_its_index(with_index, bundle, tmp_path):
    features = random_features(with_index, 2)
    folder = tmp_path / "bundle"
    save_bundle(with_index, folder)
    loaded = load_bundle(folder)
    for name, values in with_index.retrieval.arrays().items():
        np.testing.assert_array_equal(loaded.retrieval.arrays()[name], values)
    assert loaded.decoding.retrieval == 8 and loaded.digest() == with_index.digest() != load_bundle(bundle).digest()
    assert load_bundle(folder).retrieval.nearest(features) == with_index.retrieval.nearest(features)
    save_bundle(load_bundle(bundle), folder)
    assert not (folder / RETRIEVAL).exists() and load_bundle(folder).retrieval is None
    with pytest.raises(BundleError, match="retrieval must be 0 in a bundle without a retrieval index"):
        save_bundle(replace(with_index, retrieval=None), tmp_path / "other")


def test_the_search_reads_the_index(with_index):
    features, tokenizer = random_features(with_index, 1), with_index.tokenizer
    options = replace(SEARCH, n_best=3, retrieval=8.0)
    plain = decode(with_index.captioner, features[:1], tokenizer, SEARCH)[0]
    ranked = decode(with_index.captioner, features[:1], tokenizer, options, index=with_index.retrieval)[0]
    assert {caption.text for caption in ranked} == {caption.text for caption in plain}
    [nearest] = with_index.retrieval.nearest(features[:1])
    similarity = Neighborhood(with_index.retrieval, nearest).similarities([caption.token_ids for caption in ranked])
    own = {caption.text: caption.expected_utility for caption in plain}
    expected = [(own[caption.text] + 8 * value) / 9 for caption, value in zip(ranked, similarity, strict=True)]
    np.testing.assert_allclose([caption.expected_utility for caption in ranked], expected)


def test_a_large_vocabulary_has_wider_tokens(with_index, tmp_path):
    path = tmp_path / RETRIEVAL
    with_index.retrieval.save(path, vocabulary_size=70_000)
    assert RetrievalIndex.load(path).token_ids.tolist() == with_index.retrieval.token_ids.tolist()
