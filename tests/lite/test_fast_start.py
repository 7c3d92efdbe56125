"""`caption` and `explain` of an exported file never import TensorFlow or Keras."""

import json
import shutil

import pytest

from caption_tx.config import DecodingOptions
from caption_tx.lite.exported_file import CACHE_ENV_VAR, cached_export

CODE = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, Block())
from caption_tx.cli import main
sys.exit(main(sys.argv[1:]))
"""

LIBRARY = """
import sys, caption_tx.lite
captioner = caption_tx.lite.load(sys.argv[1])
captioner.explain(sys.argv[2]).pooled()
allowed = {"numpy", "PIL", "ai_edge_litert", "caption_tx"}
modules = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(captioner.caption(sys.argv[2]).text)
print(sorted(modules & {"tensorflow", "keras", "einops", "pandas", "matplotlib", "jieba", "pyarrow", "filelock"}))
"""


@pytest.fixture(scope="module")
def expected(captioner, files):
    return [caption.text for caption in captioner.caption(files)]


def test_the_library_needs_numpy_and_pillow_only(exported, files, expected, run_python):
    process = run_python(LIBRARY, exported.path, files[0])
    assert process.stdout.splitlines() == [expected[0], "[]"], process.stderr


def test_caption_prints_and_resumes_files(exported, files, expected, run_python, tmp_path):
    process = run_python(CODE, "caption", *files, "--bundle", exported.path)
    assert process.returncode == 0, process.stderr
    assert [line.split("\t")[1] for line in process.stdout.splitlines()] == expected
    command = ["caption", "--bundle", exported.path, "--json", "--out", tmp_path / "captions.jsonl"]
    assert json.loads(run_python(CODE, *command, *files[:2]).stdout)["captioned"] == 2
    counts = json.loads(run_python(CODE, *command, *files).stdout)
    assert (counts["captioned"], counts["skipped"]) == (3, 2)
    rows = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["caption"] for row in rows] == expected


def test_a_file_of_the_bundle_is_resumed_with_its_export(exported, captioner, files, run_python, tmp_path):
    from caption_tx.inference.caption_files import caption_to_file

    out = tmp_path / "captions.csv"
    caption_to_file(captioner, files[:3], out, DecodingOptions())
    process = run_python(CODE, "caption", *files, "--bundle", exported.path, "--json", "--out", out)
    assert json.loads(process.stdout)["skipped"] == 3, process.stderr


def test_explain_draws_figures_pages_and_raw_maps(exported, files, run_python, tmp_path):
    for name in ("a.png", "a.html", "a.npz"):
        process = run_python(CODE, "explain", files[0], "--bundle", exported.path, "--out", tmp_path / name)
        assert process.returncode == 0, process.stderr
        assert (tmp_path / name).stat().st_size > 500


def test_what_a_file_cannot_do_is_rejected_before_images_are_read(exported, run_python, files):
    process = run_python(CODE, "caption", files[0], "--bundle", exported.path, "--no-repeat-ngram", 2)
    assert process.returncode == 1 and "does not support no_repeat_ngram" in process.stderr
    process = run_python(CODE, "explain", files[0], "--bundle", exported.path, "--backbone-weights", "w.h5")
    assert process.returncode == 1 and "remove --backbone-weights" in process.stderr


def test_the_cached_export_of_a_bundle_is_used_until_the_bundle_changes(
    exported, bundle, files, expected, run_python, tmp_path, monkeypatch
):
    from pathlib import Path

    monkeypatch.setenv(CACHE_ENV_VAR, str(tmp_path / "cache"))
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    path = cached_export(copy)
    path.parent.mkdir(parents=True)
    for name in ("export.json", "vocabulary.txt"):
        shutil.copy(exported.path.with_name(name), path.with_name(name))
    shutil.copy(exported.path, path)
    description = path.with_name("export.json")
    description.write_text(description.read_text(encoding="utf-8").replace("tiny.tflite", path.name), encoding="utf-8")
    process = run_python(CODE, "caption", *files, "--bundle", copy)
    assert [line.split("\t")[1] for line in process.stdout.splitlines()] == expected, process.stderr
    process = run_python(CODE, "caption", files[0], "--bundle", copy, "--no-repeat-ngram", 2)
    assert "the cached export is not used: The exported file" in process.stderr
    assert "tensorflow was imported" in process.stderr  # it needs the bundle
    config = Path(copy / "config.json")
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert cached_export(copy) != path
    assert cached_export(tmp_path) is None
