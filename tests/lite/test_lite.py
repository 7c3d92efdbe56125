"""An exported LiteRT file gives the captions and maps of its bundle, without TensorFlow."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import caption_tx.lite
from caption_tx.cli import bundles, main
from caption_tx.config import DecodingOptions, ExportOptions
from caption_tx.errors import BundleError, CaptionTxError, ConfigError
from caption_tx.export.exporting import export_captioner
from caption_tx.inference.caption_files import caption_to_file
from caption_tx.inference.search.randomness import draw_bits, expand_bits
from caption_tx.lite.exported_file import CACHE_ENV_VAR, cached_export

pytest.importorskip("ai_edge_litert")

SEARCHES = {
    "greedy": {},
    "constraints": {"prefix": "a b", "suppress_words": ("c", "d"), "min_length": 4},
    "shorter": {"max_length": 3},
    "samples": {"temperature": 1.3, "samples": 3, "n_best": 2, "seed": 5},
    "consensus of samples": {"temperature": 1.0, "samples": 3, "consensus": 0.0, "prefix": "a"},
    "filtered samples": {"temperature": 0.9, "top_k": 4, "top_p": 0.8, "samples": 3, "n_best": 3},
    "beam": {"beam_width": 3, "n_best": 3, "length_penalty": 1.5, "prefix": "b", "min_length": 3},
    "consensus": {"beam_width": 3, "consensus": 0.4},
}
"""Several share a compiled search of the bundle."""

GUIDE = Path(__file__).resolve().parents[2] / "assets" / "docs" / "export.md"

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, Block())
from caption_tx.cli import main
"""

CODE = f"{BLOCKED}sys.exit(main(sys.argv[1:]))"

EXPLAIN = f"""{BLOCKED}
bundle, image, *outputs = sys.argv[1:]
sys.exit(max(main(["explain", image, "--bundle", bundle, "--out", out]) for out in outputs))
"""

LIBRARY = """
import sys, caption_tx.lite
captioner = caption_tx.lite.load(sys.argv[1])
captioner.explain(sys.argv[2]).pooled()
modules = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(captioner.caption(sys.argv[2]).text)
print(sorted(modules & {"tensorflow", "keras", "einops", "pandas", "matplotlib", "jieba", "pyarrow", "filelock"}))
"""


@pytest.mark.parametrize("name", SEARCHES)
def test_captions_are_those_of_the_bundle(name, captioner, lite, files):
    options = DecodingOptions(**SEARCHES[name])
    expected, actual = dict(captioner.captions(files, options)), dict(lite.captions(files, options))
    assert list(actual) == list(expected) == files
    for path in files:
        for first, second in zip(expected[path], actual[path], strict=True):
            assert (second.text, second.token_ids, second.finished, second.rank) == (
                first.text,
                first.token_ids,
                first.finished,
                first.rank,
            )
            assert second.words == first.words
            assert second.score == pytest.approx(first.score, abs=1e-3)
            assert second.log_probabilities == pytest.approx(first.log_probabilities, abs=1e-3)


def test_uniform_numbers_are_those_of_the_graph():
    import tensorflow as tf

    from caption_tx.inference.search.logits import gumbel_noise

    bits = draw_bits(3, [7], 2, 5)
    expected = gumbel_noise(tf.constant(bits), 50)
    np.testing.assert_allclose(gumbel_noise(tf.constant(expand_bits(bits, 50)), 50), expected, rtol=1e-5, atol=1e-6)


def test_maps_are_those_of_the_bundle(captioner, lite, files):
    for caption in (None, "a b c d zebra"):
        expected, actual = captioner.explain(files, caption), lite.explain(files, caption)
        for first, second in zip(expected, actual, strict=True):
            assert (second.words, second.unknown, second.caption, second.image) == (
                first.words,
                first.unknown,
                first.caption,
                first.image,
            )
            np.testing.assert_allclose(second.scores, first.scores, atol=1e-4)
            np.testing.assert_allclose(second.self_scores, first.self_scores, atol=1e-4)
            np.testing.assert_allclose(second.log_probabilities, first.log_probabilities, atol=1e-3)
            cells = second.cell_log_probabilities
            assert cells.shape == (len(first.words), *first.grid) and cells.std(axis=(1, 2)).min() > 1e-3
            np.testing.assert_allclose(cells, first.cell_log_probabilities, atol=1e-3)
            np.testing.assert_allclose(second.pooled(pool="posterior"), first.pooled(pool="posterior"), atol=1e-4)
            assert np.array_equal(second.picture, first.picture)


def test_the_file_is_verified_and_described(exported, captioner):
    assert exported.verification.images == 16 and exported.verification.agreement == 1
    described = json.loads(exported.path.with_name("export.json").read_text(encoding="utf-8"))
    assert described["file"] == "tiny.tflite" and described["precision"] == "float32"
    assert set(described["signatures"]) == {"greedy", "beam", "sample", "explain", "cells"}
    assert described["signatures"]["greedy"]["inputs"] == {"image": {"dtype": "uint8", "shape": [1, 32, 32, 3]}}
    assert described["verification"]["log_prob_difference"] < 1e-3
    assert described["bundle_digest"] == captioner.digest
    assert described["preprocessing"].startswith("uint8 RGB from 0 to 255")


def test_loading_an_exported_file_as_a_bundle_is_explained(exported):
    with pytest.raises(BundleError, match=r"No bundle in .*tiny\.tflite: it is an exported file, .*lite\.load"):
        caption_tx.load(exported.path)


def test_a_captioner_names_its_file_and_search(exported, lite):
    assert re.fullmatch(r"LiteCaptioner\('.*tiny\.tflite', float32, en, \d+ tokens, greedy\)", repr(lite))


def test_the_guide_selects_by_consensus_as_the_package_does(exported, lite, files):
    guide = GUIDE.read_text(encoding="utf-8")
    [code] = [text for text in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "def select" in text]
    exec(code, namespace := {})
    about = json.loads(exported.path.with_name("export.json").read_text(encoding="utf-8"))
    for penalty, consensus in ((0.7, 0.4), (2.0, 0.0)):
        about["decoding"] |= {"length_penalty": penalty, "consensus": consensus}
        options = DecodingOptions(beam_width=3, length_penalty=penalty, consensus=consensus)
        inputs = lite._make_search(options).inputs
        for path in files:
            image = np.asarray(Image.open(path))[None]
            outputs = lite._run("beam", image=image, length_penalty=np.float32(penalty), **inputs)
            assert namespace["select"](outputs, about) == dict(lite.captions([path], options))[path][0].token_ids


def test_all_missing_packages_are_named_at_once(exported, files, without, capsys, tmp_path):
    without("jinja2", "matplotlib", "mplfonts", "tqdm")
    command = ["explain", files[0], "--bundle", str(exported.path), "--out", str(tmp_path / "a.html")]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "needs the packages tqdm, jinja2, matplotlib, which are not installed" in error
    assert re.search(r"`pip install 'tqdm\S*' 'jinja2\S*' 'matplotlib\S*' 'mplfonts\S*'`", error)
    assert main(["caption", files[0], "--bundle", str(exported.path)]) == 1
    assert "needs the package tqdm, which is not installed; install it with" in capsys.readouterr().err


def test_the_library_names_missing_packages(exported, without):
    without("ai_edge_litert", "PIL")
    with pytest.raises(CaptionTxError, match=r"lite\.load needs the packages ai-edge-litert, pillow"):
        caption_tx.lite.load(exported.path)


def test_the_encoder_and_single_steps_find_the_greedy_caption(exported, captioner, files):
    from ai_edge_litert.interpreter import Interpreter

    encoder, step = (
        Interpreter(str(exported.path.with_name(f"tiny.{name}.tflite"))).get_signature_runner(name)
        for name in ("encoder", "step")
    )
    for path in files[:2]:
        expected = captioner.caption(path)
        memory = encoder(image=np.asarray(Image.open(path))[None])
        state = memory | {
            name: np.zeros(detail["shape"], np.float32)
            for name, detail in step.get_input_details().items()
            if name.startswith("cache")
        }
        token_id, token_ids = 2, []
        for index in range(len(expected.token_ids)):
            outputs = step(token_id=np.int32(token_id), index=np.int32(index), **state)
            token_id = int(outputs.pop("log_probs").argmax())
            token_ids.append(token_id)
            state |= outputs
        assert tuple(token_ids) == expected.token_ids


def test_only_built_in_operators_are_used(exported):
    from ai_edge_litert.interpreter import Interpreter

    names = {detail["op_name"] for detail in Interpreter(str(exported.path))._get_ops_details()}
    assert not [name for name in names if name.startswith(("Flex", "CUSTOM"))]


@pytest.mark.parametrize(
    "options, name",
    [
        ({"repetition_penalty": 2.0}, "repetition_penalty"),
        ({"no_repeat_ngram": 2}, "no_repeat_ngram"),
        ({"beam_width": 4}, "beam_width 4 \\(only 3\\)"),
        ({"beam_width": 3, "max_length": 5}, "max_length with beam search"),
        ({"beam_width": 3, "force_words": ("a",)}, "force_words"),
        ({"beam_width": 3, "beam_groups": 3, "diversity_penalty": 0.1}, "beam_groups"),
    ],
)
def test_options_that_the_graphs_cannot_follow_are_rejected_by_name(options, name, lite, files):
    with pytest.raises(ConfigError, match=f"does not support {name}; caption with the bundle"):
        lite.caption(files[0], **options)


def test_bad_words_and_images_are_rejected_as_by_the_bundle(captioner, lite, files, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    for target in (captioner, lite):
        with pytest.raises(ConfigError, match="'zebra' not in the model's vocabulary"):
            target.caption(files[0], prefix="a zebra")
        results = dict(target.captions([files[0], str(broken), files[1]]))
        assert "cannot be read" in str(results[str(broken)]) and len(results) == 3


def test_changed_and_missing_files_are_rejected(exported, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(exported.path.parent, folder)
    path = folder / "tiny.tflite"

    def reject(match: str) -> None:
        with pytest.raises(BundleError, match=match):
            caption_tx.lite.load(path)

    description = folder / "export.json"
    original = description.read_text(encoding="utf-8")
    for text, match in (
        ("[]", "is not the description of an export"),
        ("{", "Cannot read"),
        (original.replace('"format": 1', '"format": 2'), "has format 2; this version reads 1"),
        (original.replace('"max_length": 11', '"max_length": "x"'), "is damaged"),
        (original.replace("tiny.tflite", "other.tflite"), "describes other.tflite, not tiny.tflite"),
        (original.replace('"vocabulary.txt"', '"../vocabulary.txt"'), "values that no export has"),
    ):
        description.write_text(text, encoding="utf-8")
        reject(match)
    description.write_text(original, encoding="utf-8")
    (folder / "vocabulary.txt").write_text("[PAD]\n", encoding="utf-8")
    reject("vocabulary.txt was changed after the export")
    (folder / "vocabulary.txt").unlink()
    reject("vocabulary.txt is missing; copy it from where tiny.tflite was exported to")
    description.unlink()
    reject("export.json is missing; copy it from where tiny.tflite was exported to")
    path.unlink()
    reject("There is no exported file")


def test_an_export_never_replaces_files_of_another(captioner, exported, tmp_path):
    with pytest.raises(ConfigError, match=r"describes tiny.tflite; choose another folder for other.tflite"):
        export_captioner(captioner, exported.path.with_name("other.tflite"))
    (tmp_path / "vocabulary.txt").write_text("mine")
    with pytest.raises(ConfigError, match="would be replaced"):
        export_captioner(captioner, tmp_path / "a.tflite")
    with pytest.raises(ConfigError, match="precision and parts are for LiteRT files"):
        ExportOptions(to="savedmodel", precision="int8")


@pytest.fixture(scope="module")
def expected(captioner, files):
    return [caption.text for caption in captioner.caption(files)]


def test_the_library_needs_numpy_and_pillow_only(exported, files, expected, run_python):
    process = run_python(LIBRARY, exported.path, files[0])
    assert process.stdout.splitlines() == [expected[0], "[]"], process.stderr


def test_caption_prints_and_resumes_files(exported, files, expected, run_python, tmp_path, capsys):
    process = run_python(CODE, "caption", *files, "--bundle", exported.path)
    assert process.returncode == 0, process.stderr
    assert [line.split("\t")[1] for line in process.stdout.splitlines()] == expected
    assert "XNNPACK" not in process.stderr
    command = ["caption", "--bundle", str(exported.path), "--json", "--out", str(tmp_path / "captions.jsonl")]
    assert main([*command, *files[:2]]) == 0 and json.loads(capsys.readouterr().out)["captioned"] == 2
    assert main([*command, *files]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["captioned"], counts["skipped"]) == (3, 2)
    rows = [json.loads(line) for line in (tmp_path / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["caption"] for row in rows] == expected


def test_a_file_of_the_bundle_is_resumed_with_its_export(exported, captioner, files, tmp_path, capsys):
    out = tmp_path / "captions.csv"
    caption_to_file(captioner, files[:3], out, DecodingOptions())
    assert main(["caption", *files, "--bundle", str(exported.path), "--json", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 3


def test_explain_draws_figures_pages_and_raw_maps(exported, files, run_python, tmp_path):
    outputs = [tmp_path / name for name in ("a.png", "a.html", "a.npz")]
    process = run_python(EXPLAIN, exported.path, files[0], *outputs)
    assert process.returncode == 0, process.stderr
    assert all(path.stat().st_size > 500 for path in outputs)


def test_what_a_file_cannot_do_is_rejected_before_images_are_read(exported, files, capsys):
    for arguments, message in (
        (["caption", "--no-repeat-ngram", "2"], "does not support no_repeat_ngram"),
        (["explain", "--backbone-weights", "w.h5"], "remove --backbone-weights"),
    ):
        assert main([*arguments, files[0], "--bundle", str(exported.path)]) == 1
        assert message in capsys.readouterr().err


def test_the_cached_export_of_a_bundle_is_used_until_the_bundle_changes(
    exported, one_layer_bundle, files, expected, run_python, tmp_path, monkeypatch
):
    monkeypatch.setenv(CACHE_ENV_VAR, str(tmp_path / "cache"))
    copy = tmp_path / "bundle"
    shutil.copytree(one_layer_bundle, copy)
    path = cached_export(copy)
    path.parent.mkdir(parents=True)
    for name in ("export.json", "vocabulary.txt"):
        shutil.copy(exported.path.with_name(name), path.with_name(name))
    shutil.copy(exported.path, path)
    description = path.with_name("export.json")
    description.write_text(description.read_text(encoding="utf-8").replace("tiny.tflite", path.name), encoding="utf-8")
    process = run_python(CODE, "caption", *files, "--bundle", copy)
    assert [line.split("\t")[1] for line in process.stdout.splitlines()] == expected, process.stderr
    monkeypatch.setattr(bundles, "MAX_BEAM_IMAGES", 3)
    for search, images, is_used in (({"beam_width": 3}, 3, True), ({"beam_width": 3}, 4, False), ({}, 5, True)):
        found = bundles._load_cached(str(copy), search, files[:images])
        assert (found is not None and found.name == str(copy)) == is_used
    process = run_python(CODE, "caption", files[0], "--bundle", copy, "--no-repeat-ngram", 2)
    assert "the cached export is not used: The exported file" in process.stderr
    assert "tensorflow was imported" in process.stderr  # it needs the bundle
    config = copy / "config.json"
    config.write_text(config.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert cached_export(copy) != path
    assert cached_export(tmp_path) is None
