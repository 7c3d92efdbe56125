"""A SavedModel gives the captions and maps of its bundle in a process that has TensorFlow only."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import DecodingOptions, ExportOptions
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.export.exporting import export_captioner

CODE = """
import importlib.machinery, json, sys
blocked = {"caption_tx", "keras", "PIL", "jieba"}
execute = importlib.machinery.SourceFileLoader.exec_module
def exec_module(loader, module):  # TensorFlow asks whether Keras exists, so finding it must work
    if module.__name__.split(".")[0] in blocked:
        raise ImportError(module.__name__)
    execute(loader, module)
importlib.machinery.SourceFileLoader.exec_module = exec_module
import tensorflow as tf
files = [open(path, "rb").read() for path in sys.argv[2:]]
outputs = tf.saved_model.load(sys.argv[1]).signatures["serving_default"](images=tf.constant(files))
print(json.dumps([text.decode() for text in outputs["text"].numpy()]))
"""


@pytest.fixture(scope="module")
def captioner(load_once, one_layer_bundle):
    return load_once(one_layer_bundle)


@pytest.fixture(scope="module")
def exported(captioner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "saved"
    return export_captioner(captioner, folder, ExportOptions(to="savedmodel", beam_width=3, min_agreement=0.8))


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported.path)).signatures


@pytest.fixture(scope="module")
def files(write_pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return [str(folder / name) for name in write_pictures(folder, 6, size=(32, 32))]


@pytest.fixture(scope="module")
def data(files):
    return tf.constant([Path(path).read_bytes() for path in files])


def test_the_export_is_verified_and_described(exported, captioner):
    # The scenes are resized, which rounds differently; that matters to random weights.
    assert exported.verification.images == 16 and exported.verification.agreement >= 0.8
    described = json.loads((exported.path / "export.json").read_text(encoding="utf-8"))
    assert described["bundle_digest"] == captioner.digest
    assert described["signatures"]["serving_default"]["inputs"] == {"images": {"dtype": "string", "shape": [None]}}
    assert (exported.path / "vocabulary.txt").is_file()


@pytest.mark.slow
def test_it_gives_the_captions_of_the_bundle_with_tensorflow_alone(exported, captioner, files, run_python):
    process = run_python(CODE, exported.path, *files)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout.splitlines()[-1]) == [caption.text for caption in captioner.caption(files)]


def test_beam_search_finds_the_captions_of_the_bundle(signatures, captioner, files, data):
    outputs = signatures["beam"](images=data)
    expected = [found[0] for _, found in captioner.captions(files, DecodingOptions(beam_width=3))]
    assert [text.decode() for text in outputs["text"].numpy()] == [caption.text for caption in expected]
    assert outputs["finished"].numpy().tolist() == [caption.finished for caption in expected]


def test_maps_are_those_of_the_bundle_also_for_given_tokens(signatures, captioner, files, data):
    outputs = signatures["explain"](images=data)
    given = signatures["explain_token_ids"](images=data, token_ids=outputs["token_ids"])
    for row, path in enumerate(files):
        maps = captioner.explain(path)
        count = len(maps.words)
        for result in (outputs, given):
            actual = result["attention_maps"][row].numpy()
            np.testing.assert_allclose(actual[:count], maps.pooled(pool="sharp"), atol=1e-4)
            assert not actual[count:].any()
            np.testing.assert_allclose(result["log_probs"][row].numpy()[:count], maps.log_probabilities, atol=1e-3)


def sample(signatures, data, temperature=1.5, top_k=0, top_p=1.0, seed=1):
    count = len(data)
    outputs = signatures["sample"](
        images=data,
        temperature=tf.fill([count], temperature),
        top_k=tf.fill([count], top_k),
        top_p=tf.fill([count], top_p),
        seed=tf.fill([count], tf.constant(seed, tf.int64)),
    )
    return outputs["token_ids"].numpy().tolist()


def test_a_sample_depends_on_the_image_and_the_seed_but_not_on_the_batch(signatures, data):
    first = sample(signatures, data)
    assert sample(signatures, data) == first
    assert sample(signatures, data[2:4]) == first[2:4]
    assert sample(signatures, data, seed=2) != first
    assert len({tuple(row) for row in sample(signatures, tf.repeat(data[:1], 3))}) == 1


def test_a_sample_from_one_token_or_at_temperature_0_is_the_greedy_caption(signatures, data):
    greedy = signatures["serving_default"](images=data)["token_ids"].numpy().tolist()
    assert sample(signatures, data, top_k=1) == greedy
    assert sample(signatures, data, top_p=1e-6) == greedy
    assert sample(signatures, data, temperature=0.0) == greedy


def test_chinese_words_are_joined_as_by_the_tokenizer():
    from caption_tx.data.text.tokenizer import Tokenizer
    from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
    from caption_tx.export.savedmodel import Detokenizer

    for language in ("zh", "en"):
        tokenizer = Tokenizer([*SPECIAL_TOKENS, "看", "new york", "t恤", "7", "の", "café", "３"], language)
        captions = [[4, 5, 7, 4, 3, 0, 0, 0], [5, 9, 6, 10, 7, 8, 5, 5], [3, 0, 0, 0, 0, 0, 0, 0]]
        texts = Detokenizer(tokenizer)(tf.constant(captions)).numpy()
        assert [text.decode() for text in texts] == [tokenizer.detokenize(caption) for caption in captions]


def test_too_little_agreement_and_other_folders_are_rejected(captioner, tmp_path, monkeypatch):
    from caption_tx.export import exporting

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match="is not a SavedModel; choose another folder"):
        export_captioner(captioner, tmp_path / "mine", ExportOptions(to="savedmodel"))
    monkeypatch.setattr(exporting, "write_saved_model", lambda *_: None)
    monkeypatch.setattr(exporting.tf.saved_model, "load", lambda *_: None)
    monkeypatch.setattr(exporting, "saved_model_captions", lambda *_: _wrong_captions(captioner))
    with pytest.raises(CaptionTxError, match=r"was not written: 0 of 16 captions of rendered scenes are equal"):
        export_captioner(captioner, tmp_path / "wrong", ExportOptions(to="savedmodel"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def _wrong_captions(captioner):
    def run(images):
        return captioner.captions(images, DecodingOptions(prefix="i i i"))

    return run
