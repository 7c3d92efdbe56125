"""A training run: its files as JSON, and its page in Chromium, which follows it."""

import os
import shutil

import pytest

from caption_tx.config import Config, CorpusConfig, TrainingConfig, dump_config
from caption_tx.errors import BundleError, ConfigError, ImageError
from caption_tx.serve.runs import TrainingRun, read_log, read_samples

SAMPLES = """Epoch {epoch}, sample captions:
  a b.png   (human caption: one (1) dog)
    temperature 0    a b c
    temperature 0.5  (no words)
  ../secret.png   (machine translation: x)
    temperature 0    a b ...
    temperature 0.5  d
"""
LOG = "epoch,token_loss,val_token_loss,val_cider\n1,3.5,3.25,\n2,2.5,nan,12.5\n"


@pytest.fixture
def folder(tmp_path, picture):
    """A run of three epochs after its first epoch, without a bundle."""
    run = tmp_path / "mine"
    run.mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a b.png").write_bytes(picture(1))
    corpus = CorpusConfig(sources=("captions.csv",), images=str(tmp_path / "photos"))
    (run / "config.toml").write_text(dump_config(Config(corpus=corpus, training=TrainingConfig(epochs=3))))
    (run / "samples.txt").write_text(SAMPLES.format(epoch=1))
    (run / "log.csv").write_text("".join(LOG.splitlines(keepends=True)[:2]))
    return run


def test_files_of_a_run():
    assert read_log(LOG) == [
        {"epoch": 1, "token_loss": 3.5, "val_token_loss": 3.25},
        {"epoch": 2, "token_loss": 2.5, "val_cider": 12.5},
    ]
    assert read_log("") == read_samples("") == []
    [sample] = read_samples(SAMPLES.format(epoch=7))
    assert sample["epoch"] == 7
    first, second = sample["images"]
    assert (first["name"], first["reference"]) == ("a b.png", "human caption: one (1) dog")
    assert [caption["text"] for caption in first["captions"]] == ["a b c", ""]
    assert second["captions"][0] == {"temperature": "0", "text": "a b", "finished": False}


def test_the_state_of_a_run(folder, one_layer_bundle, picture):
    run = TrainingRun(folder)
    document = run.document()
    assert (document["name"], document["planned"], document["bundle"]) == ("mine", 3, False)
    assert len(document["epochs"]) == len(document["samples"]) == 1
    with pytest.raises(BundleError, match="has not saved a bundle yet"):
        run.bundle()
    assert run.sample("a b.png") == (picture(1), "a b c")
    for name in ("other.png", "../mine/config.toml"):
        with pytest.raises(ImageError, match="no sample image"):
            run.sample(name)
    shutil.copytree(one_layer_bundle, folder / "bundle")
    first = run.bundle()
    assert run.bundle() is first and run.has_bundle
    os.utime(folder / "bundle" / "config.json", (1, 1))  # the run has replaced it
    assert run.bundle() is not first


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match=r"is not a training run: it has no config\.toml"):
        TrainingRun(tmp_path)


@pytest.mark.slow
def test_the_page_follows_the_run(folder, service, run_server, one_layer_bundle, browser, monkeypatch):
    monkeypatch.setattr(service, "run", TrainingRun(folder))
    problems = []
    with run_server(service) as address, browser.new_context(locale="en-US", reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.get_by_role("link", name="Training run").click()
        assert page.title() == "Training run mine"
        page.locator("#message", has_text="Epoch 1 of 3").wait_for()
        assert page.locator("#curves figcaption").all_inner_texts() == [
            "Loss per token (nats) training (with dropout) 3.5 validation 3.25"
        ]
        assert page.locator(".photo").count() == 2 and page.locator(".card").count() == 0
        (folder / "log.csv").write_text(LOG)
        (folder / "samples.txt").write_text(SAMPLES.format(epoch=1) + SAMPLES.format(epoch=2).replace("a b c", "a d"))
        shutil.copytree(one_layer_bundle, folder / "bundle")
        page.locator("#message", has_text="Epoch 2 of 3").wait_for()
        page.locator(".card .word").nth(2).wait_for()
        assert page.locator(".card .word .text").all_inner_texts() == ["a", "d", "(end)"]
        assert page.locator("#curves figure").count() == 2
        rows = page.locator(".photo").first.locator(".tools tr")
        assert rows.nth(1).locator("td").all_inner_texts()[:2] == ["2", "a d"]
        assert "cannot be read" in page.locator(".photo").nth(1).locator(".problem").inner_text()
        page.locator(".card .word").first.click()
        assert page.locator(".card .word").first.get_attribute("aria-pressed") == "true"
        page.get_by_role("button", name="中文").click()
        page.locator("#message", has_text="第 2 轮，共 3 轮").wait_for()
        page.locator(".card .word .text", has_text="（结束）").wait_for()
    assert [text for text in problems if "422" not in text] == []
