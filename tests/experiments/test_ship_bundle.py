"""The model cards in `assets/` are those that `experiments/ship_bundle.py` writes."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from caption_tx.assets import SHIPPED_BUNDLES, bundle_folder
from caption_tx.bundle import load_bundle
from caption_tx.evaluation.metrics import METRICS

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(scope="module")
def ship_bundle():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXPERIMENTS), *sys.path])
        yield importlib.import_module("ship_bundle")


class ReadScores(dict):
    """Scores by metric, and statistics, read from a row of a card."""

    def __init__(self, cells, images):
        super().__init__(zip(METRICS, map(float, cells), strict=False))
        distinct, copied = int(cells[-2].replace(",", "")), float(cells[-1].strip("%")) / 100
        self.statistics = SimpleNamespace(images=images, distinct=distinct, copied=copied)


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_cards_are_generated(ship_bundle, name):
    card = (bundle_folder(name) / "README.md").read_text("utf-8")
    images = int(re.search(r"Validation split, ([\d,]+) images", card)[1].replace(",", ""))
    bleu4, cider = map(float, re.search(r"has BLEU-4 ([\d.]+) and CIDEr ([\d.]+)\.", card).groups())
    evaluations = {}
    for search, *cells in re.findall(r"^\| (greedy|`.+?`)" + r" \| (\S+)" * 8 + r" \|$", card, re.MULTILINE):
        evaluations[search.strip("`").replace("greedy", "")] = SimpleNamespace(
            scores=ReadScores(cells, images), human_baseline={"words": {"bleu4": bleu4, "cider": cider}}
        )
    assert len(evaluations) == 3
    assert ship_bundle.model_card(load_bundle(name), name, 0, evaluations) == card
