"""Sample captions, caption metrics and the CSV log."""

import numpy as np
import pandas as pd
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.evaluation import score
from caption_tx.inference.search import decode as searching
from caption_tx.inference.search.decode import decode
from caption_tx.serve.runs import read_samples
from caption_tx.training.callbacks import CaptionMetrics, CaptionScorer, CsvLog, EpochLog, SampleCaptions, SampleImages
from caption_tx.training.checkpoint import RunHistory


@pytest.fixture(scope="module")
def captioner(make_captioner):
    """All tests share its searches, which are compiled for one batch size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "BATCH_SIZES", (8,))
        yield make_captioner(num_layers=1)


def test_caption_metrics_score_generated_captions_every_few_epochs(captioner, features, tokenizer):
    log = []
    stored = (features * 255 / 6).astype(np.uint8)
    references = {f"{index}.jpg": ["a b c", "a d e f"] for index in range(len(features))}
    scorer = CaptionScorer(captioner, tokenizer, stored, references, "en")
    metrics = CaptionMetrics(scorer, every=3, last_epoch=5, log=log.append)
    added = []
    for epoch in range(5):
        logs = {"loss": 1.0}
        metrics.on_epoch_end(epoch, logs)
        added.append(set(logs) - {"loss"})
    assert [bool(names) for names in added] == [False, False, True, False, True]
    assert added[-1] == set(CaptionMetrics.NAMES)
    texts = [best.text for [best] in decode(captioner, stored * np.float32(6 / 255), tokenizer)]
    expected = score(dict(zip(references, texts, strict=True)), references, "en", bootstrap=None)
    assert logs["val_cider"] == expected["cider"]
    assert logs["val_bleu4"] == expected["bleu4"]
    assert logs["val_distinct"] == len(set(texts))
    assert [text.split(",")[0] for text in log] == ["Epoch 3", "Epoch 5"]


def test_other_workers_take_the_metrics_of_the_first():
    log, logs = [], {}
    CaptionMetrics(None, 1, 5, log.append, lambda values: [1.0, 2.0, 3.0]).on_epoch_end(0, logs)
    assert (logs, log) == (dict(zip(CaptionMetrics.NAMES, [1.0, 2.0, 3.0], strict=True)), [])


def test_epochs_are_logged_and_not_printed(capsys):
    lines = []
    callback = EpochLog(lines.append)
    callback.set_params({"epochs": 14})
    callback.on_epoch_begin(1)
    callback.on_epoch_end(1, {"token_loss": 2.5, "accuracy": 0.0, "val_token_loss": np.float32(3)})
    assert lines == ["Epoch 2/14", "0s - token_loss: 2.5000 - accuracy: 0.0000e+00 - val_token_loss: 3.0000"]
    assert capsys.readouterr() == ("", "")


def test_weights_that_are_not_finite_are_a_clear_error(captioner, features, tokenizer):
    weights = captioner.get_weights()
    references = {str(index): ["a b"] for index in range(len(features))}
    scorer = CaptionScorer(captioner, tokenizer, features, references, "en")
    try:
        captioner.weights[0].assign(np.full(captioner.weights[0].shape, np.nan))
        with pytest.raises(CaptionTxError, match=r"after epoch 1.*lower the learning rate"):
            CaptionMetrics(scorer, every=1, last_epoch=1, log=print).on_epoch_end(0, {})
    finally:
        captioner.set_weights(weights)


def test_samples_name_image_reference_and_temperature_and_go_to_the_file(captioner, features, tokenizer, tmp_path):
    log = []
    path = tmp_path / "samples.txt"
    images = SampleImages(["x.jpg", "y.jpg"], features[:2], ["a b", "c"])
    samples = SampleCaptions(captioner, tokenizer, images, (0.0, 1.0), path, log.append)
    samples.on_epoch_end(0)
    samples.on_epoch_end(1)
    assert len(log) == 2
    assert path.read_text(encoding="utf-8") == "".join(f"{text}\n" for text in log)
    for part in ("Epoch 2", "x.jpg", "y.jpg", "a b", "temperature 0 ", "temperature 1 "):
        assert part in log[1]
    first, second = read_samples(path.read_text(encoding="utf-8"))  # as the page of a run does
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert [image["name"] for image in second["images"]] == list(images.names)
    assert [image["reference"] for image in second["images"]] == list(images.references)
    for image in second["images"]:
        assert [caption["temperature"] for caption in image["captions"]] == ["0", "1"]
        for caption in image["captions"]:
            text = (caption["text"] or "(no words)") + ("" if caption["finished"] else " ...")
            assert f" {text}\n" in path.read_text(encoding="utf-8")


def test_a_resumed_run_has_the_samples_of_each_epoch_once(captioner, features, tokenizer, tmp_path):
    path = tmp_path / "samples.txt"
    images = SampleImages(["x.jpg", "y.jpg"], features[:2], ["a b", "c"])
    samples = SampleCaptions(captioner, tokenizer, images, (0.0, 1.0), path, lambda text: None)
    samples.complete(0)
    assert not path.exists()
    samples.on_epoch_end(0)
    first = path.read_text(encoding="utf-8")
    samples.on_epoch_end(1)
    both = path.read_text(encoding="utf-8")
    samples.complete(2)
    assert path.read_text(encoding="utf-8") == both
    path.write_text(first, encoding="utf-8")  # killed between the checkpoint and the samples of epoch 2
    samples.complete(2)
    assert path.read_text(encoding="utf-8") == both
    samples.on_epoch_end(0)  # a new run, since the checkpoint was deleted
    assert path.read_text(encoding="utf-8") == first


def test_the_csv_log_has_one_row_per_epoch(tmp_path):
    history = RunHistory(epochs=[{"epoch": 1, "loss": 2.0}])
    csv_log = CsvLog(history, tmp_path / "log.csv")
    history.epochs.append({"epoch": 2, "loss": 1.5, "val_cider": 3.0})
    csv_log.on_epoch_end(1)
    table = pd.read_csv(tmp_path / "log.csv")
    assert table["epoch"].tolist() == [1, 2]
    assert table["loss"].tolist() == [2.0, 1.5]
    assert table["val_cider"].isna().tolist() == [True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
