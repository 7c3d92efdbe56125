"""The workdir of a run: who may use it, and what is written before training."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest

from caption_tx.config import Config, CorpusConfig, TextConfig, TrainingConfig, load_config
from caption_tx.errors import ConfigError
from caption_tx.training import run as run_module
from caption_tx.training.distribution import Distribution
from caption_tx.training.run import (
    RunContext,
    claim_workdir,
    copy_user_dictionary,
    open_workdir,
    report_left_out,
    store_settings,
)


def config(**training):
    return Config(training=TrainingConfig(**training))


def resume(settings, workdir, log=str):
    """What a run does that nothing rejects."""
    run = open_workdir(RunContext(settings, workdir, Distribution(SimpleNamespace(num_replicas_in_sync=1)), log))
    store_settings(run)


def test_a_resumed_run_keeps_its_precision_on_another_processor(tmp_path, monkeypatch):
    for machine in ("mixed_bfloat16", "float32"):
        monkeypatch.setattr(run_module, "resolve_precision", lambda machine=machine: machine)
        claim_workdir(config(), tmp_path)
        (tmp_path / "checkpoint.npz").touch()
        assert load_config(tmp_path / "config.toml").training.precision == "mixed_bfloat16"
    with pytest.raises(ConfigError, match="other settings"):
        claim_workdir(config(precision="float32"), tmp_path)


@pytest.mark.parametrize("change", [{"seed": 3}, {"epochs": 15}])
def test_other_settings_are_rejected_once_there_is_a_checkpoint(tmp_path, change):
    claim_workdir(config(), tmp_path)
    claim_workdir(config(**change), tmp_path)
    assert load_config(tmp_path / "config.toml").training.precision != "auto"
    (tmp_path / "checkpoint.npz").touch()
    resume(config(**change), tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        claim_workdir(config(), tmp_path)


def test_the_settings_that_differ_are_named(tmp_path):
    claim_workdir(config(sample_images=("a.jpg",)), tmp_path)
    (tmp_path / "checkpoint.npz").touch()
    with pytest.raises(ConfigError, match=r"other settings: training\.seed \(0, now 3\); use"):  # epochs may grow
        claim_workdir(config(sample_images=("a.jpg",), seed=3, epochs=20), tmp_path)
    expected = r"settings: training\.epochs \(14, now 9\), training\.sample_images .*, training\.seed \(0, now 3\); use"
    with pytest.raises(ConfigError, match=expected):
        claim_workdir(config(seed=3, epochs=9), tmp_path)
    with pytest.raises(ConfigError, match=r"text\.script \(not set, now simplified\)"):
        claim_workdir(dataclasses.replace(config(), text=TextConfig(script="simplified")), tmp_path)


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("photos/", "photos", True),
        ("photos", "./photos", True),
        ("a/../photos", "photos", True),
        ("gs://bucket/photos/", "gs://bucket/photos", True),
        ("photos", "pictures", False),
        ("gs://bucket/photos", "gs://bucket/pictures", False),
    ],
)
def test_spellings_of_a_path_are_one_setting(tmp_path, monkeypatch, before, now, same):
    monkeypatch.chdir(tmp_path)

    def with_paths(path):
        corpus = CorpusConfig(sources=(f"{path}:stage=1", "b.csv"), images=path)
        return Config(corpus=corpus, training=TrainingConfig(cache=path, init=path))

    claim_workdir(with_paths(before), tmp_path)
    (tmp_path / "checkpoint.npz").touch()
    if same:
        claim_workdir(with_paths(now), tmp_path)
    else:
        with pytest.raises(
            ConfigError, match=r"corpus\.sources .*, corpus\.images .*, training\.init .*, training\.cache"
        ):
            claim_workdir(with_paths(now), tmp_path)
    with pytest.raises(ConfigError, match=r"corpus\.sources"):
        claim_workdir(dataclasses.replace(config(), corpus=CorpusConfig(sources=(before, "b.csv:stage=2"))), tmp_path)


def test_a_run_may_get_more_epochs_and_another_patience(tmp_path):
    lines = []
    claim_workdir(config(), tmp_path)
    (tmp_path / "checkpoint.npz").touch()
    for change in ({"epochs": 20}, {"epochs": 20}, {"epochs": 20, "patience": 9}, {"epochs": 20, "patience": 2}):
        resume(config(**change), tmp_path, lines.append)
        training = load_config(tmp_path / "config.toml").training
        assert (training.epochs, training.patience) == (20, change.get("patience", 3))
    assert lines == [
        "The run has 20 epochs now instead of 14: the learning rate continues where it would be in a run of 20 epochs."
    ]
    with pytest.raises(ConfigError, match=r"training\.epochs \(20, now 14\)"):
        claim_workdir(config(), tmp_path)


def test_a_command_that_is_rejected_later_leaves_the_settings(tmp_path):
    run = RunContext(config(epochs=20), tmp_path, Distribution(SimpleNamespace(num_replicas_in_sync=1)), str)
    claim_workdir(config(), tmp_path)
    (tmp_path / "checkpoint.npz").touch()
    before = (tmp_path / "config.toml").read_bytes()
    assert open_workdir(run).config.training.epochs == 20  # then other captions reject it
    assert (tmp_path / "config.toml").read_bytes() == before
    resume(config(), tmp_path)
    assert (tmp_path / "config.toml").read_bytes() == before


def test_earlier_stages_keep_their_epochs(tmp_path):
    corpus = CorpusConfig(sources=("a.txt:stage=1", "b.txt:stage=2"))
    staged = [Config(corpus, training=TrainingConfig(epochs=epochs)) for epochs in (10, 30, 4)]
    claim_workdir(staged[0], tmp_path)
    (tmp_path / "checkpoint.npz").touch()
    for _ in range(2):  # the second time, the workdir has the epochs of the stages
        resume(staged[1], tmp_path)
        training = load_config(tmp_path / "config.toml").training
        assert (training.epochs, training.stage_epochs) == (30, (3,))
    explicit = dataclasses.replace(staged[1], training=TrainingConfig(epochs=30, stage_epochs=(4,)))
    for other in (explicit, staged[2]):
        with pytest.raises(ConfigError, match="other settings"):
            claim_workdir(other, tmp_path)


def without_schedule(workdir):
    """Makes the settings of a run those of an older version, which had one schedule for the whole run."""
    path = workdir / "config.toml"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("schedule")]
    path.write_text("\n".join(lines), encoding="utf-8")
    (workdir / "checkpoint.npz").touch()


@pytest.mark.parametrize("stages", [1, 2])
def test_a_run_of_an_older_version_keeps_its_schedule(tmp_path, stages):
    sources = tuple(f"{stage}.txt:stage={stage}" for stage in range(1, stages + 1))
    new, old = (Config(CorpusConfig(sources), training=TrainingConfig(schedule=name)) for name in ("stage", "run"))
    claim_workdir(new, tmp_path)
    without_schedule(tmp_path)
    run = RunContext(old, tmp_path, Distribution(SimpleNamespace(num_replicas_in_sync=1)), str)
    assert open_workdir(run).config.training.schedule == "run"
    if stages == 1:
        claim_workdir(new, tmp_path)
    else:
        with pytest.raises(ConfigError, match=r"training\.schedule \(run, now stage\)"):
            claim_workdir(new, tmp_path)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_loss_scaling_is_rejected_on_several_devices(tmp_path, precision):
    log = []
    distribution = Distribution(SimpleNamespace(num_replicas_in_sync=2))
    run = RunContext(config(precision=precision), tmp_path / "run", distribution, log.append)
    if precision == "mixed_float16":
        with pytest.raises(ConfigError, match=r"mixed_float16.*use mixed_bfloat16"):
            open_workdir(run)
    else:
        assert open_workdir(run).config.training.precision == precision
        assert log == ["Each batch is divided; workers: 1, devices per worker: 2."]


def test_the_user_dictionary_is_copied_into_the_workdir(tmp_path):
    text = TextConfig()
    assert copy_user_dictionary(text, tmp_path) is text
    dictionary = tmp_path / "mine.txt"
    dictionary.write_text("小猫咪 1000\n", encoding="utf-8")
    copied = copy_user_dictionary(dataclasses.replace(text, user_dictionary=str(dictionary)), tmp_path)
    dictionary.unlink()
    assert copied.user_dictionary == str(tmp_path / "user_dictionary.txt")
    assert (tmp_path / "user_dictionary.txt").read_text(encoding="utf-8") == "小猫咪 1000\n"


def test_what_is_left_out_is_counted_by_reason_and_listed(tmp_path):
    log, path = [], tmp_path / "left_out.csv"
    reasons = ["image cannot be read: a", "image cannot be read: b", "blank line"]
    report_left_out(pd.DataFrame({"reason": reasons}), path, log.append)
    assert log == [f"Left out 3 lines, captions and images (2 image cannot be read; 1 blank line); see {path}."]
    assert pd.read_csv(path)["reason"].tolist() == reasons
    report_left_out(pd.DataFrame({"reason": []}), path, log.append)
    assert not path.exists() and len(log) == 1
