"""The shipped bundles are small, contain no local paths, match their cards and caption photographs."""

import hashlib
import json
import re

import pytest

from caption_tx.assets import SHIPPED_BUNDLES, bundle_folder
from caption_tx.bundle import load_bundle
from caption_tx.cli import main
from caption_tx.config import DecodingOptions

MAX_BYTES, MAX_SMALL_BYTES = 12_000_000, 8_000_000
WEIGHTS = "mobilenet_1_0_224_no_top_to_conv_pw_12.weights.h5"
CHINESE = re.compile(r"[一-鿿]{3,}")
CAPTION_FILES = {"zh": "flickr8kzhc.caption.txt", "en": "flickr8kenc.caption.txt"}
MIN_CIDER = {"flickr8k-zh": 65, "flickr8k-en": 40, "flickr8k-zh-small": 53, "flickr8k-en-small": 27}
"""Well below the scores on the cards, since only a few of the images are scored here."""
WEIGHTS_DIGESTS = {
    "flickr8k-zh": "c37f23c80423780c81d4982b30b6bbfb2ea2f6b452b31121e75d9cdf32a15499",
    "flickr8k-zh-small": "aed05985cda4b6847046f71c28b92e5daa28aaed89f3dd17d40c148b55333ed4",
    "flickr8k-en-small": "049e61f1f8f5d54e9e6beebc040915433f27dd197367a81cd88fd00df3f442a6",
    "flickr8k-en": "5bba300de8ffbded1a8732e0d04d1e8bd41e4e50b41903ba6f83e603fdb9c679",
}


def language_of(name):
    return name.removesuffix("-small")[-2:]


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_bundle_is_small_and_contains_no_local_path(name):
    files = list(bundle_folder(name).iterdir())
    is_small = name.endswith("-small")
    assert sum(file.stat().st_size for file in files) <= (MAX_SMALL_BYTES if is_small else MAX_BYTES)
    config = json.loads((bundle_folder(name) / "config.json").read_text("utf-8"))
    assert config["backbone"]["weights"] == ("photos" if is_small else "imagenet")
    for file in files:
        if file.suffix in (".json", ".md"):
            assert not re.search(r"(?<![\w.<])/(work|tmp|home|root|Users|mnt)/", file.read_text("utf-8")), file


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_card_matches_the_bundle(name):
    bundle, card = load_bundle(name), (bundle_folder(name) / "README.md").read_text("utf-8")
    assert bundle.text.language == language_of(name) and bundle.facts["val_token_loss"] > 0
    assert f"{bundle.captioner.count_params():,} weights" in card
    assert f"{bundle.tokenizer.vocabulary_size - 4:,} words" in card
    for text in ("## Training data", "## Scores", "## Limits", "## Biases", "non-commercial"):
        assert text in card
    assert ("](../" in card) == name.endswith("-small")  # the scores of the full bundle


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_the_default_search_is_the_best_on_the_card_and_the_weights_are_those_of_the_training(name):
    card = (bundle_folder(name) / "README.md").read_text("utf-8")
    searches = re.findall(r"^\| (greedy|`.+?`)" + r" \| (\S+)" * 6, card, re.MULTILINE)
    flags, *_ = max(searches, key=lambda row: float(row[-1]))
    beam_width, consensus = re.fullmatch(r"`--beam-width (\d+) --consensus (\S+)`", flags).groups()
    assert load_bundle(name).decoding == DecodingOptions(beam_width=int(beam_width), consensus=float(consensus))
    weights = hashlib.sha256((bundle_folder(name) / "model.weights.h5").read_bytes()).hexdigest()
    assert weights == WEIGHTS_DIGESTS.get(name, weights)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["caption"], ["explain", "--json"]])
def test_chinese_bundle_is_the_default(shared, capsys, command):
    photo = next((shared / "data" / "flickr8k" / "images").iterdir())
    name, *options = command
    assert main([name, str(photo), "--backbone-weights", str(shared / "weights" / WEIGHTS), *options]) == 0
    printed, errors = capsys.readouterr()
    assert CHINESE.search(printed) and "search: beam_width 20, consensus 0.4 (the bundle's own)" in errors


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_validation_photographs_are_captioned(shared, name):
    from caption_tx.data.corpus.table import captions_by_image, read_corpus
    from caption_tx.evaluation.scores import score
    from caption_tx.inference.captioner import load

    folder = shared / "data" / "flickr8k"
    language = language_of(name)
    table = read_corpus(folder / CAPTION_FILES[language])
    references = dict(list(captions_by_image(table, "val", "human").items())[::32])
    captioner = load(name, None if name.endswith("-small") else str(shared / "weights" / WEIGHTS))
    results = captioner.captions(list(references), location=str(folder / "images"))
    captions = {image: best.text for image, (best, *_) in results}
    scores = score(captions, references, language=language)
    assert len(captions) == 32  # one batch, which is compiled once
    assert scores["cider"] > MIN_CIDER[name] and scores.statistics.distinct > 16
