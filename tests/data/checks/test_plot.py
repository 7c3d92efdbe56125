"""The corpus report as a figure."""

import io

import pytest

from caption_tx.data.checks.plot import corpus_figure
from caption_tx.data.checks.text_report import format_report


def test_axes_and_legends(corpus, check):
    rows = [(f"{n}.jpg", "a dog " + "runs " * (n % 5), ["train", "val"][n % 7 == 0]) for n in range(60)]
    report = check(corpus(*rows), "en", max_length=8)
    figure = corpus_figure(report)
    lengths, vocabulary, shares = figure.axes
    assert lengths.get_xlabel() == "words per caption"
    assert [patch.get_height() for patch in lengths.patches] == [12] * 5
    assert "model limit: 7 words" in [text.get_text() for text in lengths.get_legend().get_texts()]
    assert vocabulary.get_xscale() == "log"
    labels = [text.get_text() for text in vocabulary.get_legend().get_texts()]
    assert labels == [
        "known words (left)", "unknown in train (right)", "unknown in val (right)", "text.min_frequency = 4"
    ]  # fmt: skip
    known, train, _ = vocabulary.lines[0], *shares.lines
    assert known.get_ydata()[0] == 3
    assert train.get_ydata()[-1] == report["vocabulary"]["by_min_frequency"][-1]["unknown_share"]["train"]


@pytest.mark.parametrize("captions", [["。"], ["狗"], ["狗 " * 3000, *["一只狗在跑"] * 99]])
def test_unusual_corpora_have_a_report_and_a_figure(corpus, check, captions):
    report = check(corpus(*((f"{n}.jpg", caption) for n, caption in enumerate(captions))))
    assert f"{len(captions)} images with {len(captions)} captions" in format_report(report)
    figure = corpus_figure(report)
    figure.savefig(io.BytesIO(), format="png")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("1 captions of more than 12 words not shown" in labels) == (len(captions) > 1)
    assert not [label for label in labels if "limit" in label]
