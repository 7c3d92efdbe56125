"""The trained bundles that ship: small, free of one machine's paths, and captioning photographs."""

import json
import re

import pytest

from caption_tx.assets import SHIPPED_BUNDLES, bundle_folder
from caption_tx.bundle import load_bundle
from caption_tx.cli import main

MOST_BYTES = 12_000_000
WEIGHTS = "mobilenet_1_0_224_no_top_to_conv_pw_12.weights.h5"
CHINESE = re.compile(r"[一-鿿]{3,}")
CAPTION_FILES = {"flickr8k-zh": "flickr8kzhc.caption.txt", "flickr8k-en": "flickr8kenc.caption.txt"}
LEAST_CIDER = {"flickr8k-zh": 65, "flickr8k-en": 40}
"""Well below what their cards say, since a quarter of the images is scored here."""


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_it_is_small_and_names_no_path(name):
    files = list(bundle_folder(name).iterdir())
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    config = json.loads((bundle_folder(name) / "config.json").read_text("utf-8"))
    assert config["backbone"]["weights"] == "imagenet"
    for file in files:
        if file.suffix in (".json", ".md"):
            assert not re.search(r"(?<![\w.<])/(work|tmp|home|root|Users|mnt)/", file.read_text("utf-8")), file


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_its_card_and_its_parts_tell_the_same(name):
    bundle, card = load_bundle(name), (bundle_folder(name) / "README.md").read_text("utf-8")
    assert bundle.text.language == name[-2:] and bundle.facts["val_token_loss"] > 0
    assert f"{bundle.captioner.count_params():,} weights" in card
    assert f"{bundle.tokenizer.vocabulary_size - 4:,} words" in card
    for part in ("## Data", "## Scores", "## Limits", "## Biases", "not commercial"):
        assert part in card


@pytest.mark.parametrize("command", [["caption"], ["explain", "--json"]])
def test_the_chinese_one_speaks_where_none_is_named(shared, capsys, command):
    photo = next((shared / "data" / "flickr8k" / "images").iterdir())
    name, *options = command
    assert main([name, str(photo), "--backbone-weights", str(shared / "weights" / WEIGHTS), *options]) == 0
    assert CHINESE.search(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_it_captions_photographs_that_it_never_saw(shared, name):
    from caption_tx.data.corpus.table import captions_by_image, read_corpus
    from caption_tx.evaluation.scores import score
    from caption_tx.inference.captioner import load

    folder = shared / "data" / "flickr8k"
    table = read_corpus(folder / CAPTION_FILES[name])
    references = dict(list(captions_by_image(table, "val", "human").items())[::4])
    captioner = load(name, str(shared / "weights" / WEIGHTS))
    found = captioner.captions(references, location=str(folder / "images"))
    captions = {image: best.text for image, (best, *_) in found}
    scores = score(captions, references, language=name[-2:])
    assert scores["cider"] > LEAST_CIDER[name] and scores.statistics.distinct > 100
