"""`caption-tx train`: stages of several sources."""

import json
from pathlib import Path

import pandas as pd
import pytest

from caption_tx.cli import main


@pytest.mark.slow
def test_two_stages(corpus, capsys):
    folder, options = corpus
    workdir = folder / "run"
    sources = [f"{folder / 'machine.txt'}:stage=1,origin=machine", f"{folder / 'human.txt'}:stage=2"]
    small = "model.hidden_dim=16 model.intermediate_dim=16 model.num_layers=1 model.num_heads=2"
    settings = [part for pair in small.split() for part in ("--set", pair)]
    settings += ["--set", "corpus.val_fraction=0.3", "--set", "corpus.test_fraction=0.0"]
    settings += ["--set", "training.sample_count=0", "--set", "training.tensorboard=false"]
    command = ["train", "--stage-epochs", "1", *sources, *options, "--workdir", str(workdir), "--epochs", "3"]
    text = ["--nfkc", "--script", "simplified", "--min-frequency", "1", "--leave-out", "html,url"]
    assert main([*command, *settings, *text]) == 0
    output = capsys.readouterr().out
    assert "Stage 1: epochs 1 to 1." in output
    assert "Stage 2: epochs 2 to 3." in output
    vocabulary = (workdir / "bundle" / "vocabulary.txt").read_text(encoding="utf-8").split()
    assert "a" in vocabulary and "一张" in vocabulary  # Ａ is normalized, 張 converted, GB18030 detected
    assert "机器" not in vocabulary  # only in the first stage
    assert pd.read_csv(workdir / "log.csv")["epoch"].tolist() == [1, 2, 3]
    reasons = pd.read_csv(workdir / "left_out.csv")["reason"]
    assert set(reasons) == {"machine translation, not used as a reference"}
    photo = str(Path(options[1]) / "000.png")
    weights = options[options.index("--backbone-weights") :][:2]
    assert main(["caption", photo, "--bundle", str(workdir / "bundle"), *weights, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["image"] == photo
