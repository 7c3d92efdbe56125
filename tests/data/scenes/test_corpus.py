"""Rendered scenes written as a corpus and read back."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from caption_tx.data.scenes.captions import check_caption
from caption_tx.data.scenes.corpus import read_scenes, write_scenes
from caption_tx.data.scenes.rendering import render_scene
from caption_tx.errors import ConfigError, CorpusError


@pytest.mark.parametrize("language", ["zh", "en"])
def test_written_scenes_can_be_read_back(tmp_path, language):
    files = write_scenes(tmp_path, {"train": 5, "val": 2, "test": 3}, language, seed=7)
    with files.captions.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert Counter(row["split"] for row in rows) == {"train": 20, "val": 8, "test": 12}
    objects = read_scenes(files.scenes)
    assert sorted(path.name for path in files.images.iterdir()) == sorted(objects)
    for row in rows:
        assert check_caption(row["caption"], objects[row["image"]], language).exact
    entry = json.loads(files.scenes.read_text(encoding="utf-8"))["images"]["val-000001.png"]
    scene = render_scene(7, entry["index"])
    assert scene.objects == objects["val-000001.png"]
    with Image.open(files.images / "val-000001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), scene.image)


def test_writing_again_keeps_intact_images_and_replaces_others(tmp_path):
    counts = {"train": 4, "val": 1}
    files = write_scenes(tmp_path, counts)
    original = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.images.iterdir()}
    captions = files.captions.read_text(encoding="utf-8")
    (files.images / "train-000002.png").unlink()
    (files.images / "train-000003.png").write_bytes(b"truncated")
    write_scenes(tmp_path, counts)
    for path in files.images.iterdir():
        data, modified = original[path.name]
        assert path.read_bytes() == data
        assert (path.stat().st_mtime_ns == modified) == (path.name not in ("train-000002.png", "train-000003.png"))
    assert files.captions.read_text(encoding="utf-8") == captions
    assert not list(tmp_path.rglob(".*"))

    write_scenes(tmp_path, {"train": 6, "val": 1})
    assert (files.images / "val-000000.png").read_bytes() == original["val-000000.png"][0]
    write_scenes(tmp_path, counts, seed=1)
    assert (files.images / "train-000000.png").read_bytes() != original["train-000000.png"][0]


def test_invalid_arguments_and_files_are_rejected(tmp_path):
    with pytest.raises(ConfigError, match="'fr'"):
        write_scenes(tmp_path, {"train": 1}, language="fr")
    with pytest.raises(ConfigError, match="'dev'"):
        write_scenes(tmp_path, {"dev": 1})
    with pytest.raises(CorpusError, match="write_scenes"):
        read_scenes(tmp_path / "missing.json")
    (tmp_path / "other.json").write_text('{"renderer": "other", "images": {}}', encoding="utf-8")
    with pytest.raises(CorpusError, match="'other'"):
        read_scenes(tmp_path / "other.json")
