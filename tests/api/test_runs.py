"""Training and tuning from Python: resumable, with captions in memory, and with the same results as the command."""

import shutil

import pandas as pd
import pytest

import caption_tx
from caption_tx.api.settings import resolve_request
from caption_tx.cli import main
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training.run import claim_workdir

pytestmark = pytest.mark.usefixtures("shared_backbones")


def quiet(text):
    pass


def test_a_run_has_history_captioner_and_bundle(run, scenes):
    frame, images = scenes
    assert run.history["epoch"].tolist() == [1, 2] and run.history["val_loss"].notna().all()
    assert run.bundle_path == run.workdir / "bundle"
    name = frame["image"][0]
    assert run.captioner.caption(images / name, temperature=0.5).words
    assert caption_tx.load(run.bundle_path).digest == run.captioner.digest
    best = run.history["val_token_loss"].min()
    assert repr(run) == f"Run('{run.workdir}', 2 epochs, best val_token_loss {best:.4g} after epoch 2)"
    assert run.left_out.empty and run.config.training.epochs == 2
    assert caption_tx.Run(run.workdir) == run


def test_options_of_a_search_have_three_forms(run, scenes):
    frame, images = scenes
    names, captioner = [images / name for name in frame["image"].unique()[:2]], run.captioner
    expected = dict(captioner.captions(names, caption_tx.DecodingOptions(beam_width=3, n_best=2)))
    assert dict(captioner.captions(names, beam_width=3, n_best=2)) == expected
    assert dict(captioner.captions(names, {"beam_width": 3}, n_best=2)) == expected
    [(_, maps)] = captioner.explanations(names[:1], rank=1, options={"beam_width": 3}, n_best=2)
    assert maps.caption == expected[str(names[0])][1].text
    for call in (captioner.captions, captioner.explanations):
        with pytest.raises(ConfigError, match="Did you mean 'beam_width'"):
            call(names, beam_widht=3)
        with pytest.raises(ConfigError, match="options must be DecodingOptions or a dictionary of its fields, got int"):
            call(names, options=3)
    with pytest.raises(CaptionTxError, match="must be one text or Caption, got list; for several, call explain"):
        captioner.explain(names[0], ["一只狗", "在跑"])


@pytest.mark.slow
def test_captions_in_memory_are_saved_and_the_run_resumes(run, scenes, small, tmp_path, capsys):
    frame, images = scenes
    workdir = tmp_path / "run"
    shutil.copytree(run.workdir, workdir)
    config = (workdir / "config.toml").read_text().replace(str(run.workdir), str(workdir))
    (workdir / "config.toml").write_text(config)
    lines = []
    more = caption_tx.train(frame, images, workdir=workdir, log=lines.append, verbose=True, **(small | {"epochs": 3}))
    assert any("Layer (type)" in line for line in lines) and capsys.readouterr().out == ""
    assert [line for line in lines if line.startswith("Epoch 3/")] == ["Epoch 3/3"]
    assert len(more.history) == 3 and any("Resuming after epoch 2" in line for line in lines)
    pd.testing.assert_frame_equal(more.history[:2], run.history)
    pd.testing.assert_frame_equal(pd.read_parquet(workdir / "captions.parquet"), frame)
    with pytest.raises(ConfigError, match="contains a run with other captions"):
        caption_tx.train(frame[1:], images, workdir=workdir, log=quiet, **(small | {"epochs": 3}))
    with pytest.raises(ConfigError, match=r"contains a run with other settings: text\.min_frequency"):
        caption_tx.train(frame, images, workdir=workdir, log=quiet, **(small | {"min_frequency": 2}))
    pd.testing.assert_frame_equal(pd.read_parquet(workdir / "captions.parquet"), frame)


def test_the_command_resumes_a_run_of_python(run, capsys):
    assert main(["train", "--config", str(run.workdir / "config.toml"), "--workdir", str(run.workdir)]) == 0
    out = capsys.readouterr().out
    assert "Best epoch 2" in out and "All 2 epochs are done, so there is nothing to train" in out
    assert "warning: split 'val' has 5 images only" in out


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="contains no finished training run"):
        caption_tx.Run(tmp_path)


def test_missing_images_are_reported_before_anything_is_written(scenes, tmp_path):
    with pytest.raises(ConfigError, match="Image folder 'gone' does not exist"):
        caption_tx.train(scenes[0], "gone", workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_any_of_the_images_ends_a_run_before_the_backbone_is_loaded(scenes, small, tmp_path):
    (tmp_path / "wrong").mkdir()
    settings = small | {"backbone": {"weights": "gone.h5"}}
    for cached in (True, False):
        with pytest.raises(
            ConfigError, match=r"^None of the \d+ images .* is in '.*wrong', .*check images \(--images\)"
        ):
            caption_tx.train(
                scenes[0], tmp_path / "wrong", workdir=tmp_path / "run", log=quiet, cached=cached, **settings
            )
    with pytest.raises(ConfigError, match="None of the 24 images"):
        features = {name: settings[name] for name in ("language", "backbone")}
        caption_tx.features(scenes[0], tmp_path / "wrong", cache=tmp_path / "cache", log=quiet, **features)
    # The workdir of the failed run may be used with other captions and settings.
    request = resolve_request(scenes[0][1:], scenes[1], None, {"language": "zh", "seed": 3})
    claim_workdir(request.save_captions(tmp_path / "run"), tmp_path / "run", quiet)
    assert len(pd.read_parquet(tmp_path / "run" / "captions.parquet")) == len(scenes[0]) - 1
    assert caption_tx.load_config(tmp_path / "run" / "config.toml").training.seed == 3


def test_misspelled_settings_of_tuning_are_explained(run, tmp_path):
    with pytest.raises(ConfigError, match=r"Unknown option 'epoch'\. Did you mean 'epochs'"):
        caption_tx.tune(run, tmp_path / "tuned", epoch=1)
    with pytest.raises(ConfigError, match="either as config or as keywords; remove epochs"):
        caption_tx.tune(run, tmp_path / "tuned", config=caption_tx.TuningConfig(), epochs=1)
