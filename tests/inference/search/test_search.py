"""Every search compared with a slow reference in plain NumPy, on a model that knows its captions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_search import CAPTIONS, FEATURES, LENGTH, MANY_IMAGES, NUM_IMAGES, Speller, assert_equals_reference

from caption_tx.config import DecodingOptions, TextConfig
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import ConfigError
from caption_tx.inference.search.decode import decode


@pytest.fixture(scope="module")
def spellers():
    return {language: Speller(language, 4.0) for language in CAPTIONS}


SEARCHES = {
    "greedy": {"zh": {}},
    "penalties": {"en": {"repetition_penalty": 1.7, "no_repeat_ngram": 2, "min_length": 4}},
    "no word twice": {"zh": {"no_repeat_ngram": 1, "prefix": "图中 有", "suppress_words": ("女人", "狗")}},
    "sampled": {"zh": {"temperature": 0.8}},
    "sampled n-best": {"en": {"temperature": 1.3, "samples": 5, "n_best": 3, "length_penalty": 0.0}},
    "top k and top p": {"zh": {"temperature": 1.2, "top_k": 6, "top_p": 0.8}},
    "beam": {"zh": {"beam_width": 4, "n_best": 3}},
    "beam without length normalization": {"en": {"beam_width": 4, "n_best": 3, "length_penalty": 0.0}},
    "beam with all": {
        "zh": {
            "beam_width": 3, "n_best": 2, "repetition_penalty": 1.3, "no_repeat_ngram": 2, "min_length": 3,
            "max_length": 7, "suppress_words": ("狗",), "prefix": "图中", "length_penalty": 1.2,
        },
    },
    "truncated beam": {"en": {"beam_width": 3, "n_best": 3, "min_length": 5, "max_length": 5}},
    "diverse beam": {"en": {"beam_width": 6, "beam_groups": 3, "diversity_penalty": 0.9, "n_best": 4}},
    "diverse beam of single ones": {"zh": {"beam_width": 3, "beam_groups": 3, "diversity_penalty": 2.0, "n_best": 3}},
    "forced": {
        "zh": {"beam_width": 3, "force_words": ("猫", "街道"), "n_best": 2},
        "en": {"beam_width": 2, "force_words": ("cat", "grass"), "prefix": "there is a cat"},
    },
    "diverse beam with penalties": {
        "en": {
            "beam_width": 4, "beam_groups": 2, "diversity_penalty": 0.7, "n_best": 3, "repetition_penalty": 1.5,
            "no_repeat_ngram": 2,
        },
    },
    "forced with penalties": {
        "zh": {
            "beam_width": 3, "force_words": ("猫", "街道"), "n_best": 2, "repetition_penalty": 1.5,
            "no_repeat_ngram": 2,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "language"), [(name, language) for name, both in SEARCHES.items() for language in both]
)
def test_search_equals_reference(spellers, name, language):
    options = DecodingOptions(**SEARCHES[name][language])
    captions = assert_equals_reference(spellers[language], options)
    texts = {caption.text for image_captions in captions for caption in image_captions}
    assert len(texts) > 8
    for image_captions in captions:
        for caption in image_captions:
            words = list(caption.words)
            assert options.min_length <= len(words) <= (options.max_length or LENGTH)
            assert set(options.force_words) <= set(words)
            assert not set(options.suppress_words) & set(words)
            assert words[: len(options.prefix.split())] == options.prefix.split()
            runs = [tuple(words[start : start + options.no_repeat_ngram]) for start in range(len(words))]
            runs = [run for run in runs if len(run) == options.no_repeat_ngram > 0]
            assert len(runs) == len(set(runs))


@pytest.mark.parametrize("values", [{}, {"beam_width": 4, "n_best": 3}])
def test_batch_above_the_largest_size_equals_reference(spellers, values):
    """37 images are searched as batches of 32 and, padded, of 16."""
    assert_equals_reference(spellers["zh"], DecodingOptions(**values), range(MANY_IMAGES))


@pytest.mark.parametrize(
    "values",
    [
        {"beam_width": 4, "n_best": 2, "length_penalty": 1.0},
        {"beam_width": 4, "beam_groups": 2, "diversity_penalty": 2.0, "n_best": 2, "length_penalty": 0.0},
        {"beam_width": 2, "force_words": ("一只",), "n_best": 2, "length_penalty": 1.0},
    ],
)
def test_beam_search_stops_early_only_if_nothing_better_can_follow(spellers, values):
    """Each image alone, since in a batch the other images would prolong the search."""
    for image in range(NUM_IMAGES):
        assert_equals_reference(spellers["zh"], DecodingOptions(**values), [image])


@pytest.mark.parametrize(
    "values", [{}, {"beam_width": 3}, {"beam_width": 4, "beam_groups": 2, "diversity_penalty": 0.5}]
)
def test_search_stops_when_all_captions_are_finished(monkeypatch, values):
    """Captions of the images have one word here; those of the rows that pad a batch would be longer."""
    speller, steps = Speller("en", 30.0), []
    step = speller.step
    monkeypatch.setattr(speller, "step", lambda *inputs: (steps.append(1), step(*inputs))[1])

    def count(images):
        for _ in range(2):  # the first call also traces a step
            steps.clear()
            decode(speller, FEATURES[images], speller.tokenizer, DecodingOptions(**values))
        return len(steps)

    tf.config.run_functions_eagerly(True)
    try:
        assert count([4, 9, 14]) == max(count([image]) for image in (4, 9, 14)) < count([0]) <= LENGTH
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 1e-4, "top_k": 2**31 - 1, "top_p": 1e-6, "length_penalty": 10.0},
        {"temperature": 1e4, "top_k": 5, "top_p": 0.5},
        {"repetition_penalty": 1e4, "length_penalty": 10.0},
        {"beam_width": 4, "beam_groups": 2, "diversity_penalty": 1e4, "length_penalty": 10.0},
    ],
)
def test_extreme_option_values_give_captions(spellers, values):
    for [caption] in decode(spellers["zh"], FEATURES[:4], spellers["zh"].tokenizer, DecodingOptions(**values)):
        assert caption.words
        assert np.isfinite([caption.score, *caption.log_probabilities]).all()


def test_reference_cases_include_finished_and_truncated_captions(spellers):
    """Otherwise the tests would cover only one kind."""
    for options in (DecodingOptions(), DecodingOptions(beam_width=4, n_best=3)):
        captions = [
            caption
            for image_captions in decode(spellers["zh"], FEATURES[:NUM_IMAGES], spellers["zh"].tokenizer, options)
            for caption in image_captions
        ]
        assert len({len(caption.words) for caption in captions}) > 3
    options = DecodingOptions(**SEARCHES["truncated beam"]["en"])
    truncated = decode(spellers["en"], FEATURES[:NUM_IMAGES], spellers["en"].tokenizer, options)
    assert not any(caption.finished for captions in truncated for caption in captions)


def test_compacted_batch_equals_reference():
    """Most captions end early, and the few unfinished images continue in a smaller batch."""
    speller = Speller("en", 4.0)
    speller.bonus[4::5] *= 5  # "woman"
    images = np.random.default_rng(0).permutation([*range(4, MANY_IMAGES, 5)] * 7 + [0, 1, 2, 3, 5, 6, 7]).tolist()
    captions = assert_equals_reference(speller, DecodingOptions(1.0, samples=2, n_best=2), images)
    lengths = [max(len(caption.token_ids) for caption in image_captions) for image_captions in captions]
    assert 3 < sum(length > 4 for length in lengths) < len(lengths) / 4


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    temperature=st.floats(0.3, 3),
    top_k=st.integers(1, 40),
    top_p=st.floats(0.05, 0.999),
    repetition_penalty=st.floats(1.01, 3),
    length_penalty=st.floats(0, 2),
    min_length=st.integers(1, LENGTH),
    prefix=st.sampled_from(["", "图中", "一只 狗 在"]),
    suppress_words=st.sampled_from([(), ("女人",), ("猫", "和", "有")]),
    seed=st.integers(0, 2**31 - 1),
    images=st.permutations(range(MANY_IMAGES)),
)
def test_samples_equal_reference_for_any_options(spellers, images, **values):
    options = DecodingOptions(samples=2, n_best=2, no_repeat_ngram=3, **values)
    assert_equals_reference(spellers["zh"], options, images[:16])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    diversity_penalty=st.floats(0.01, 4),
    length_penalty=st.floats(0, 2),
    min_length=st.integers(1, LENGTH),
    prefix=st.sampled_from(["", "there", "a dog runs"]),
    suppress_words=st.sampled_from([(), ("cat",), ("woman", "women", "in")]),
    images=st.permutations(range(MANY_IMAGES)),
)
def test_beams_equal_reference_for_any_options(spellers, images, **values):
    options = DecodingOptions(beam_width=4, beam_groups=2, n_best=3, **values)
    assert_equals_reference(spellers["en"], options, images[:5])


@pytest.mark.parametrize(
    ("language", "searches"), [("zh", [{}]), ("en", [{}, {"temperature": 0.5}, {"beam_width": 3}])]
)
def test_confident_model_generates_its_captions(language, searches):
    speller = Speller(language, 30.0)
    for values in searches:
        captions = decode(speller, FEATURES[:5], speller.tokenizer, DecodingOptions(**values))
        joint = "" if language == "zh" else " "
        assert [best.text for best, *_ in captions] == [joint.join(words) for words in speller.captions]
        assert all(best.finished for best, *_ in captions)


def test_typed_prefix_is_segmented(spellers):
    speller, segmenter = spellers["zh"], Segmenter(TextConfig(language="zh"))
    options = DecodingOptions(prefix="图中，有", force_words=("女人",), beam_width=2)
    for best, *_ in decode(speller, FEATURES[:5], speller.tokenizer, options, segmenter=segmenter):
        assert best.text.startswith("图中有")
        assert "女人" in best.words


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_captions_do_not_depend_on_batch_and_order(spellers, temperature):
    speller = spellers["en"]
    options = DecodingOptions(temperature=temperature, seed=3, samples=3 if temperature else 1)
    images = np.random.default_rng(0).integers(0, MANY_IMAGES, 150).tolist()

    def run(images):
        image_captions = decode(speller, FEATURES[images], speller.tokenizer, options, images)
        return [[caption.token_ids for caption in captions] for captions in image_captions]

    expected = dict(zip(images, run(images), strict=True))
    for size in (1, 7, 64, 65):
        part = images[10 : 10 + size]
        assert run(part) == [expected[image] for image in part]


def test_more_samples_include_fewer_samples(spellers):
    speller = spellers["zh"]
    few, many = (
        decode(
            speller,
            FEATURES[:NUM_IMAGES],
            speller.tokenizer,
            DecodingOptions(1.5, samples=count, n_best=count),
            range(NUM_IMAGES),
        )
        for count in (2, 5)
    )
    for some, more in zip(few, many, strict=True):
        assert {caption.token_ids for caption in some} <= {caption.token_ids for caption in more}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefix": "龘 猫"}, "prefix.*'龘'"),
        ({"prefix": "， 。"}, "prefix.*no words"),
        ({"force_words": ("猫", "龘"), "beam_width": 2}, "force_words.*'龘'"),
        ({"suppress_words": ("龘",)}, "suppress_words.*'龘'"),
        ({"suppress_words": ("[END]",)}, "suppress_words"),
        ({"force_words": ("两个女人",), "beam_width": 2}, "force_words.*several words"),
        ({"prefix": "一只狗和", "max_length": 3}, "prefix.*3 words"),
        ({"prefix": "一只狗", "suppress_words": ("狗",)}, "prefix.*狗"),
        (
            {"prefix": "一只狗", "force_words": ("猫", "女人"), "beam_width": 2, "max_length": 3},
            "force_words.*do not fit",
        ),
        ({"min_length": LENGTH + 1}, "min_length"),
        ({"max_length": LENGTH + 1}, "max_length"),
    ],
)
def test_impossible_options_are_rejected(spellers, options, message):
    segmenter = Segmenter(TextConfig(language="zh"))
    with pytest.raises(ConfigError, match=message):
        decode(spellers["zh"], FEATURES[:1], spellers["zh"].tokenizer, DecodingOptions(**options), None, segmenter)


def test_suppressing_every_word_is_rejected(spellers):
    tokenizer = spellers["en"].tokenizer
    options = DecodingOptions(suppress_words=tokenizer.vocabulary[len(SPECIAL_TOKENS) :])
    with pytest.raises(ConfigError, match="leaves no word"):
        decode(spellers["en"], FEATURES[:1], tokenizer, options)
    options = dataclasses.replace(options, suppress_words=options.suppress_words[1:])
    [[caption]] = decode(spellers["en"], FEATURES[:1], tokenizer, options)
    assert set(caption.words) == {tokenizer.vocabulary[len(SPECIAL_TOKENS)]}


class TyingSpeller(Speller):
    """A model in which two words tie up to rounding, and rounding depends on the batch."""

    def __init__(self):
        super().__init__("en", 0.0)
        self.first, self.second = self.vocabulary_size - 2, self.vocabulary_size - 1
        for array in (self.noise, self.past, self.bonus):
            array[..., self.second] = array[..., self.first]
        for array in (self.noise, self.bonus):
            array[..., self.first :] += 8.0  # the most likely words everywhere

    def step(self, token_ids, index, images, cache, ancestors=None):
        logits, cache = super().step(token_ids, index, images, cache, ancestors)
        higher = self.first if logits.shape[0] == 1 else self.second
        return logits + 4e-6 * tf.one_hot(higher, self.vocabulary_size), cache


@pytest.mark.parametrize("values", [{}, {"top_k": 1}, {"top_p": 0.01}, {"temperature": 1e-3}])
def test_ties_are_broken_equally_in_every_batch(values):
    speller = TyingSpeller()
    options = DecodingOptions(**({"temperature": 1.0} if values and "temperature" not in values else {}) | values)
    images = list(range(8))
    together = decode(speller, FEATURES[images], speller.tokenizer, options, images)
    alone = [decode(speller, FEATURES[[image]], speller.tokenizer, options, [image])[0] for image in images]
    assert [best.token_ids for best, *_ in together] == [best.token_ids for best, *_ in alone]
