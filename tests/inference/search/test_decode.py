"""`decode` compared with full passes of the model: log-probabilities, sample frequencies, batches, and options."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.data.text.vocabulary import END, PAD, START, UNK
from caption_tx.errors import ConfigError
from caption_tx.inference.search import decode as decoding
from caption_tx.inference.search.consensus import expected_utility


def decode(*arguments):
    """The best caption of each image."""
    return [captions[0] for captions in decoding.decode(*arguments)]


@pytest.fixture(scope="module")
def captioner(make_captioner):
    """Depending on the image its captions are finished or truncated."""
    captioner = make_captioner(seed=3, num_layers=2)
    captioner.token_output.bias.assign(captioner.token_output.bias - 0.5 * np.eye(13)[END])
    return captioner


@pytest.fixture(scope="module")
def greedy(captioner, features, tokenizer):
    return decode(captioner, features, tokenizer)


@pytest.fixture(scope="module")
def small(make_captioner):
    """One layer, whose weights tests change: compiled searches follow (see `test_compiled_search_uses_new_weights`)."""
    return make_captioner(seed=3, num_layers=1)


@pytest.fixture
def biased(small):
    """Returns the small captioner with another bias of its output."""

    def set_bias(bias):
        small.token_output.bias.assign(bias)
        return small

    before = small.get_weights()
    yield set_bias
    small.set_weights(before)


PASSES = weakref.WeakKeyDictionary()
"""The full pass of each captioner as a graph: hundreds of eager ones take a minute."""


def full_pass(captioner):
    if captioner not in PASSES:
        alive = weakref.ref(captioner)
        PASSES[captioner] = tf.function(lambda inputs: alive()(inputs), autograph=False)
    return PASSES[captioner]


def full_logits(captioner, feature, token_ids):
    """Logits (T, V) of one image's tokens from a full pass, whose padding no token before it sees."""
    count, length = len(token_ids), captioner.max_length
    inputs = {
        "features": feature[None],
        "token_ids": np.pad(np.array([token_ids], np.int32), ((0, 0), (0, length - count))),
        "positions": np.arange(length, dtype=np.int32)[None],
        "segment_ids": (np.arange(length, dtype=np.int32)[None] < count).astype(np.int32),
    }
    return np.asarray(full_pass(captioner)(inputs)[0, :count], np.float64)


def log_softmax(logits):
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1, keepdims=True)
    )


def ids(captions):
    return [caption.token_ids for caption in captions]


def argmax_caption(captioner, feature):
    """The token_ids of a greedy search over full passes."""
    tokens = [START]
    while len(tokens) <= captioner.max_length and tokens[-1] != END:
        logits = full_logits(captioner, feature, tokens)[-1]
        logits[[PAD, UNK, START, *([END] if len(tokens) == 1 else [])]] = -np.inf
        tokens.append(int(logits.argmax()))
    return tuple(tokens[1:])


def test_greedy_search_equals_argmax_over_full_passes(captioner, features, greedy):
    for feature, caption in zip(features, greedy, strict=True):
        assert caption.token_ids == argmax_caption(captioner, feature)
        assert caption.finished == (caption.token_ids[-1] == END)


def test_images_give_finished_and_truncated_captions(greedy, captioner):
    """Otherwise the tests would cover only one kind."""
    assert len(set(ids(greedy))) > 2
    finished = [caption for caption in greedy if caption.finished]
    cut = [caption for caption in greedy if not caption.finished]
    assert finished
    assert cut
    assert all(caption.token_ids[-1] == END and END not in caption.token_ids[:-1] for caption in finished)
    assert all(len(caption.token_ids) == captioner.max_length and END not in caption.token_ids for caption in cut)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_captions_are_never_empty(biased, features, tokenizer, temperature):
    captioner = biased((np.arange(13) == END) * 60.0)
    for caption in decode(captioner, features, tokenizer, DecodingOptions(temperature), range(7)):
        assert len(caption.words) == 1 and caption.finished
        assert caption.log_probabilities[0] < -30  # the model's own probability, not that among the remaining tokens


def test_words_and_text_match_the_tokens(greedy, tokenizer):
    for caption in greedy:
        expected = tuple(tokenizer.vocabulary[token] for token in caption.token_ids if token != END)
        assert caption.words == expected
        assert caption.text == " ".join(expected)


SEARCHES = [
    {},
    {"temperature": 0.5},
    {"temperature": 2.0, "top_k": 5, "top_p": 0.9, "samples": 3, "n_best": 3},
    {"beam_width": 3, "n_best": 3},
    {"beam_width": 4, "beam_groups": 2, "diversity_penalty": 1.0, "n_best": 2},
    {"beam_width": 2, "force_words": ("a", "g"), "prefix": "c d"},
    {"repetition_penalty": 1.5, "no_repeat_ngram": 2, "min_length": 4, "suppress_words": ("b",)},
]


@pytest.mark.parametrize("values", SEARCHES, ids=lambda values: " ".join(values) or "greedy")
def test_log_probabilities_equal_full_pass(captioner, features, tokenizer, values):
    options = DecodingOptions(**values)
    results = decoding.decode(captioner, features, tokenizer, options, range(7))
    assert len(results) == 7
    for feature, captions in zip(features, results, strict=True):
        assert captions
        for caption in captions:
            log_probs = log_softmax(full_logits(captioner, feature, [START, *caption.token_ids[:-1]]))
            expected = log_probs[np.arange(len(caption.token_ids)), caption.token_ids]
            np.testing.assert_allclose(caption.log_probabilities, expected, atol=1e-5)
            assert caption.log_probability == pytest.approx(expected.sum(), abs=1e-4)
            if options.repetition_penalty == 1:
                assert caption.score == pytest.approx(
                    expected.sum() / len(expected) ** options.length_penalty, abs=1e-4
                )


@pytest.mark.parametrize("count", [1, 3])
def test_beam_search_equals_search_over_full_passes(captioner, features, tokenizer, count):
    """A single image and several images use different code paths."""
    width, limit = 3, 6
    options = DecodingOptions(beam_width=width, max_length=limit, n_best=2)
    for feature, captions in zip(
        features, decoding.decode(captioner, features[:count], tokenizer, options), strict=False
    ):
        beams, ended = [([], 0.0)], []
        while beams and len(beams[0][0]) < limit:
            candidates = []
            for tokens, total in beams:
                log_probs = log_softmax(full_logits(captioner, feature, [START, *tokens]))[-1]
                log_probs[[PAD, UNK, START, *([] if tokens else [END])]] = -np.inf
                candidates += [
                    ([*tokens, token], total + log_probs[token]) for token in np.flatnonzero(log_probs > -np.inf)
                ]
            ended += [beam for beam in candidates if beam[0][-1] == END]
            beams = [beam for beam in candidates if beam[0][-1] != END]
            beams = sorted(beams, key=lambda beam: -beam[1])[:width]
        ended.sort(key=lambda beam: -beam[1] / len(beam[0]) ** 0.7)
        assert ids(captions) == [tuple(tokens) for tokens, _ in (ended + beams)[:2]]


def test_seed_determines_samples(captioner, features, tokenizer):
    def run(seed):
        return ids(decode(captioner, features, tokenizer, DecodingOptions(1.0, seed=seed), range(7)))

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_row_seeds_determine_samples(captioner, features, tokenizer):
    same = np.repeat(features[:1], 7, axis=0)
    options = DecodingOptions(1.0)
    assert len(set(ids(decode(captioner, same, tokenizer, options, range(7))))) > 2
    assert len(set(ids(decode(captioner, same, tokenizer, options, [9] * 7)))) == 1
    large = [2**63 + 1, 2**63 + 2, 2**64 - 1, 2**64 - 2, 2**64 - 3, 2**64 - 4, 0]
    assert len(set(ids(decode(captioner, same, tokenizer, options, large)))) > 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_captions_do_not_depend_on_the_batch(captioner, features, tokenizer, temperature):
    options = DecodingOptions(temperature, seed=11)
    seeds = [100 + row for row in range(7)]
    together = ids(decode(captioner, features, tokenizer, options, seeds))
    alone = [
        decode(captioner, features[row : row + 1], tokenizer, options, seeds[row : row + 1])[0] for row in range(7)
    ]
    assert ids(alone) == together
    order = np.array([4, 0, 6, 2, 5, 1, 3])
    shuffled = ids(decode(captioner, features[order], tokenizer, options, [seeds[row] for row in order]))
    assert shuffled == [together[row] for row in order]


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_first_tokens_follow_the_softmax(captioner, features, tokenizer, temperature):
    count = 4000
    options = DecodingOptions(temperature, max_length=1, seed=1)
    captions = decode(captioner, np.repeat(features[:1], count, axis=0), tokenizer, options, range(count))
    frequencies = np.bincount([caption.token_ids[0] for caption in captions], minlength=13) / count
    logits = full_logits(captioner, features[0], [START])[0] / temperature
    logits[[PAD, UNK, START, END]] = -np.inf  # no caption is empty
    probs = np.exp(log_softmax(logits))
    assert (np.abs(frequencies - probs) <= 4 * np.sqrt(probs * (1 - probs) / count) + 1e-9).all()


def test_second_tokens_follow_the_softmax_after_the_first(captioner, features, tokenizer):
    """They would not be if one random number decided every step."""
    options = DecodingOptions(1.6, max_length=2, seed=1)
    captions = decode(captioner, np.repeat(features[:1], 4000, axis=0), tokenizer, options, range(4000))
    firsts = np.array([caption.token_ids[0] for caption in captions])
    first = np.argmax(np.bincount(firsts[firsts != END]))
    seconds = [caption.token_ids[1] for caption in captions if caption.token_ids[0] == first]
    assert len(seconds) > 300
    logits = full_logits(captioner, features[0], [START, first])[-1] / 1.6
    logits[[PAD, UNK, START]] = -np.inf
    probs = np.exp(log_softmax(logits))
    frequencies = np.bincount(seconds, minlength=13) / len(seconds)
    assert (np.abs(frequencies - probs) <= 4 * np.sqrt(probs * (1 - probs) / len(seconds)) + 1e-9).all()


def test_temperature_near_zero_is_greedy(captioner, features, tokenizer, greedy):
    assert ids(decode(captioner, features, tokenizer, DecodingOptions(1e-4), range(7))) == ids(greedy)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 50.0])
def test_suppressed_tokens_never_appear(biased, features, tokenizer, temperature):
    captioner = biased(np.isin(np.arange(13), [PAD, UNK, START]) * 60.0)
    for seed in range(20 if temperature else 1):
        for caption in decode(captioner, features, tokenizer, DecodingOptions(temperature, seed=seed), range(7)):
            assert caption.token_ids
            assert not {PAD, UNK, START} & set(caption.token_ids)
            assert np.isfinite(caption.log_probabilities).all()
            assert max(caption.log_probabilities) < -20


def test_length_limit_truncates_only(captioner, features, tokenizer, greedy):
    captions = decode(captioner, features, tokenizer, DecodingOptions(max_length=4))
    assert ids(captions) == [caption.token_ids[:4] for caption in greedy]
    assert [caption.finished for caption in captions] == [caption.token_ids[-1] == END for caption in captions]


def test_length_limit_above_the_model_is_rejected(captioner, features, tokenizer):
    with pytest.raises(ConfigError, match=r"max_length.*11.*12"):
        decode(captioner, features, tokenizer, DecodingOptions(max_length=12))


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 5, 3, 7), (1, 3, 5, 8), (1, 1, 3, 5, 7)])
def test_features_of_another_shape_are_rejected(captioner, tokenizer, shape):
    with pytest.raises(ValueError, match=r"3, 5, 7"):
        decode(captioner, np.zeros(shape, np.float32), tokenizer)


def test_no_images_give_no_captions(captioner, features, tokenizer):
    assert decode(captioner, features[:0], tokenizer) == []


def test_compiled_search_uses_new_weights(small, make_captioner, features, tokenizer):
    before, weights = ids(decode(small, features, tokenizer)), small.get_weights()
    small.set_weights(make_captioner(seed=4, num_layers=1).get_weights())
    after = ids(decode(small, features, tokenizer))
    assert after == [argmax_caption(small, feature) for feature in features] != before
    small.set_weights(weights)


def test_captioner_is_garbage_collected_after_decoding(make_captioner, features, tokenizer):
    captioner = make_captioner(num_layers=1)
    decode(captioner, features, tokenizer, DecodingOptions(max_length=1))
    alive = weakref.ref(captioner)
    del captioner
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "search", [{"beam_width": 6}, {"temperature": 1.0, "samples": 9}, {"beam_width": 6, "force_words": ("男人",)}]
)
def test_consensus_ranks_by_expected_utility(captioner, features, tokenizer, search):
    count = max(search.get("samples", 0), search.get("beam_width", 0))
    if "force_words" in search:
        search = search | {"force_words": (tokenizer.vocabulary[5],)}
    by_score = decoding.decode(captioner, features, tokenizer, DecodingOptions(n_best=count, **search))
    two = decoding.decode(captioner, features, tokenizer, DecodingOptions(n_best=2, consensus=0.4, **search))
    changed = 0
    for all_results, chosen in zip(by_score, two, strict=True):
        values = expected_utility(ids(all_results), [caption.log_probability for caption in all_results], 0.4)
        cut = [not caption.finished for caption in all_results]
        order = sorted(range(len(all_results)), key=lambda index: (cut[index], -values[index]))
        assert ids(chosen) == [all_results[index].token_ids for index in order[:2]]
        assert [caption.rank for caption in chosen] == list(range(len(chosen)))
        np.testing.assert_allclose([caption.expected_utility for caption in chosen], values[order[:2]], rtol=1e-4)
        assert all(caption.expected_utility is None for caption in all_results)
        changed += order[0] != 0
    assert changed
