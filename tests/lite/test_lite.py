"""An exported LiteRT file gives the captions and maps of its bundle, without TensorFlow."""

import json
import shutil

import numpy as np
import pytest

import caption_tx.lite
from caption_tx.config import DecodingOptions, ExportOptions
from caption_tx.errors import BundleError, ConfigError
from caption_tx.export.exporting import export_captioner
from caption_tx.inference.search.randomness import draw_bits, expand_bits

SEARCHES = {
    "greedy": {},
    "constraints": {"prefix": "a b", "suppress_words": ("c", "d"), "min_length": 4},
    "shorter": {"max_length": 3},
    "samples": {"temperature": 1.3, "samples": 3, "n_best": 2, "seed": 5},
    "filtered samples": {"temperature": 0.9, "top_k": 4, "top_p": 0.8, "samples": 3, "n_best": 3, "max_length": 6},
    "beam": {"beam_width": 3},
    "several of a beam": {"beam_width": 3, "n_best": 3, "length_penalty": 1.5, "prefix": "b", "min_length": 3},
    "consensus": {"beam_width": 3, "consensus": 0.4},
    "consensus of samples": {"temperature": 1.0, "samples": 4, "consensus": 0.0},
}


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
            assert np.array_equal(second.picture, first.picture)


def test_the_file_is_verified_and_described(exported, captioner):
    assert exported.verification.images == 16 and exported.verification.agreement == 1
    described = json.loads(exported.path.with_name("export.json").read_text(encoding="utf-8"))
    assert described["file"] == "tiny.tflite" and described["precision"] == "float32"
    assert set(described["signatures"]) == {"greedy", "beam", "sample", "explain"}
    assert described["signatures"]["greedy"]["inputs"] == {"image": {"dtype": "uint8", "shape": [1, 32, 32, 3]}}
    assert described["verification"]["log_prob_difference"] < 1e-3
    assert described["bundle_digest"] == captioner.digest


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
    reject("Cannot read .*vocabulary.txt")
    description.unlink()
    reject("export.json is missing; keep it and vocabulary.txt beside tiny.tflite")
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
