"""Commands on a disk that is full: one line names the file, and what was there before is intact."""

import json
import subprocess

import pytest

from caption_tx.cli import main

pytestmark = pytest.mark.usefixtures("shared_backbones")


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of so many kilobytes; skips where that is not permitted."""
    mounted = []

    def mount(kilobytes):
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def rejected(capsys, path):
    """The command's only error line says that there is no space for this file."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("caption-tx: ")]
    return "No space left on device" in line and str(path) in line


def test_findings_of_a_corpus(small_disk, tmp_path, capsys):
    captions = "".join(f"{index}.jpg,一只狗<br>{index}\n" for index in range(2000))
    (tmp_path / "captions.csv").write_text("image,caption\n" + captions, encoding="utf-8")
    findings = small_disk(8) / "findings.csv"
    findings.write_text("before")
    assert main(["corpus", str(tmp_path / "captions.csv"), "--check", "--list", str(findings)]) == 1
    assert rejected(capsys, findings)
    assert findings.read_text() == "before"


def test_scores_of_an_evaluation(small_disk, tmp_path, capsys):
    names = [f"{index}.jpg" for index in range(300)]
    rows = "".join(f"{name},一只狗在跑,test\n" for name in names)
    (tmp_path / "captions.csv").write_text("image,caption,split\n" + rows, encoding="utf-8")
    predictions = tmp_path / "theirs.jsonl"
    lines = [json.dumps({"image": name, "caption": "一只狗在草地上奔跑"}) for name in names]
    predictions.write_text("\n".join(lines), encoding="utf-8")
    out = small_disk(8)
    command = ["evaluate", str(tmp_path / "captions.csv"), "--predictions", str(predictions), "--out", str(out)]
    assert main(command) == 1
    assert rejected(capsys, out / "gallery.html")  # scores.json is small enough
    assert not (out / "gallery.html").exists()
    assert json.loads((out / "scores.json").read_text(encoding="utf-8"))["split"] == "test"


def test_captions_of_a_folder(small_disk, one_layer_bundle, loaded_once, write_pictures, tmp_path, capsys):
    write_pictures(tmp_path / "photos", 40)
    out = small_disk(8) / "captions.parquet"
    command = ["caption", str(tmp_path / "photos"), "--bundle", one_layer_bundle, "--out", str(out)]
    assert main(command) == 1
    assert rejected(capsys, out.parent)
    assert not out.exists()


@pytest.mark.slow
def test_checkpoint_of_a_training(small_disk, corpus, capsys):
    folder, options = corpus
    workdir = small_disk(64)
    small = "hidden_dim=16 intermediate_dim=16 num_layers=1 num_heads=2"
    settings = [part for pair in small.split() for part in ("--set", f"model.{pair}")]
    settings += ["--set", "training.sample_count=0", "--set", "training.tensorboard=false"]
    settings += ["--cache", str(folder / "features"), "--epochs", "2", "--min-frequency", "1"]
    assert main(["train", str(folder / "human.txt"), *options, *settings, "--workdir", str(workdir)]) == 1
    assert rejected(capsys, workdir)
    assert not list(workdir.glob(".*.tmp*"))
