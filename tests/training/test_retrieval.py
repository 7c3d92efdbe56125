"""The retrieval index of a run, and the search that the run then inherits."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from caption_tx.config import Config, DecodingOptions, TextConfig, TrainingConfig
from caption_tx.data.preparation import segment_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.training.initialization import inherited_search
from caption_tx.training.retrieval import make_retrieval_index


class Cache:
    """Features (B, 2, 2, 8) that depend on the number in an image's name."""

    def load(self, names):
        return np.stack([np.random.default_rng(int(name)).random((2, 2, 8), np.float32) for name in names])


def make(tokenizer, images=3, origins=("human", "machine"), cache=True, limit=None):
    rows = [
        {"image": str(image), "caption": f"{'abcdefghi'[image % 9]} a" if origin == "human" else "b", "split": split}
        | {"origin": origin, "weight": 1.0, "stage": 1, "source": "a.csv", "line": 1}
        for split, names in (("train", range(images)), ("val", [99]))
        for image in names
        for origin in origins
    ]
    segmented = segment_corpus(pd.DataFrame(rows), Segmenter(TextConfig(language="en")), {})
    training = TrainingConfig(init="flickr8k-zh", retrieval_images=limit).resolved()
    lines = []
    run = SimpleNamespace(
        config=Config(training=training), distribution=SimpleNamespace(is_chief=True), log=lines.append
    )
    data = SimpleNamespace(tokenizer=tokenizer, train={1: None})
    inputs = SimpleNamespace(cache=Cache() if cache else None)
    return make_retrieval_index(run, inputs, data, segmented), lines


def test_the_index_has_the_human_captions_of_training_images(tokenizer):
    index, lines = make(tokenizer)
    words = [[tokenizer.detokenize(caption) for caption in captions] for captions in index.captions]
    expected = [[tokenizer.detokenize(tokenizer.tokenize([["abc"[row], "a"]])[0][1:])] for row in range(3)]
    assert words == expected
    assert "keeps 3 captions and the compressed features of 3 training images" in lines[0]
    [nearest] = index.nearest(Cache().load(["1"]))
    assert 1 not in [row for row, _ in nearest]  # the image itself


def test_captions_of_machines_are_used_if_there_are_no_others(tokenizer):
    assert make(tokenizer, origins=("machine",))[0].sizes.captions == 3


def test_the_number_of_images_is_limited(tokenizer):
    assert make(tokenizer, images=9, limit=4)[0].sizes.images == 4
    assert make(tokenizer, limit=0) == (None, [])
    index, [line] = make(tokenizer, cache=False)
    assert index is None and "--uncached" in line


def test_a_search_with_consensus_is_inherited_with_retrieval():
    bundle = SimpleNamespace(decoding=DecodingOptions(beam_width=20, consensus=0.4))
    assert inherited_search(bundle, 8.0).describe() == "beam_width 20, consensus 0.4, retrieval 8.0"
    assert inherited_search(bundle).retrieval == 0
    assert inherited_search(SimpleNamespace(decoding=DecodingOptions(beam_width=3)), 8.0).retrieval == 0
    assert TrainingConfig().resolved().retrieval_images == 0
