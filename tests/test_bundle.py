"""A bundle is complete, loads the same in a new process, and names what is damaged."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from bundle_edits import change_vocabulary, set_value, write, write_config

from caption_tx import assets
from caption_tx.bundle import Bundle, load_bundle, recover_bundle, save_bundle, store_search, stored_search
from caption_tx.bundle_files import CONFIG, DICTIONARY, VOCABULARY, WEIGHTS
from caption_tx.config import DecodingOptions, TextConfig
from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import BundleError, ConfigError
from caption_tx.inference.search.decode import decode

WORDS = ["一只", "猫", "狗", "在", "睡觉", "小猫咪", "草地", "上", "跑"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer([*SPECIAL_TOKENS, *WORDS], "zh")


@pytest.fixture(scope="module")
def bundle(make_captioner, tokenizer, backbone, backbone_config):
    captioner = make_captioner(seed=3, feature_shape=backbone.feature_shape, num_layers=1)
    captioner.token_output.adapt(np.arange(13))
    return Bundle(captioner, tokenizer, TextConfig(), backbone_config, backbone.key, {"val_token_loss": 2.5})


@pytest.fixture
def folder(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture(scope="module")
def inputs(backbone):
    random = np.random.default_rng(0)
    return {
        "features": random.uniform(0, 6, (3, *backbone.feature_shape)).astype(np.float32),
        "token_ids": random.integers(0, 13, (3, 11)).astype(np.int32),
        "positions": np.tile(np.arange(11, dtype=np.int32), (3, 1)),
        "segment_ids": np.ones((3, 11), np.int32),
    }


RELOAD = """
import json, sys
import numpy as np
from caption_tx.bundle import load_bundle
from caption_tx.config import DecodingOptions
from caption_tx.inference.search.decode import decode

folder, inputs, out = sys.argv[1:]
bundle = load_bundle(folder)
inputs = dict(np.load(inputs))
captions = [
    [caption.text for [caption] in decode(bundle.captioner, inputs["features"], bundle.tokenizer, options, range(3))]
    for options in (DecodingOptions(), DecodingOptions(temperature=1.0, seed=5))
]
np.savez(out, logits=bundle.captioner(inputs), captions=json.dumps(captions))
"""


@pytest.mark.slow
def test_a_new_process_computes_the_same_logits_and_captions(bundle, folder, inputs, tmp_path, run_forked):
    from caption_tx.config import DecodingOptions

    np.savez(tmp_path / "inputs.npz", **inputs)
    process = run_forked(RELOAD, folder, tmp_path / "inputs.npz", tmp_path / "out.npz")
    assert process.returncode == 0, process.stderr[-2000:]
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["logits"], bundle.captioner(inputs), atol=1e-6)
        captions = json.loads(str(out["captions"]))
    for texts, options in zip(captions, (DecodingOptions(), DecodingOptions(1.0, seed=5)), strict=True):
        expected = decode(bundle.captioner, inputs["features"], bundle.tokenizer, options, range(3))
        assert texts == [caption.text for [caption] in expected]
        assert any(texts)


def test_everything_else_is_loaded_too(bundle, folder):
    again = load_bundle(folder)
    assert again.tokenizer.vocabulary == bundle.tokenizer.vocabulary
    assert again.captioner.settings == bundle.captioner.settings
    assert (again.text, again.backbone, again.backbone_key) == (bundle.text, bundle.backbone, bundle.backbone_key)
    assert again.facts == {"val_token_loss": 2.5}
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, VOCABULARY, WEIGHTS])


def test_a_default_search_is_stored_without_touching_the_weights(bundle, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "decoding" not in json.loads(before[CONFIG])
    assert (load_bundle(folder).decoding, stored_search(folder)) == (DecodingOptions(), DecodingOptions())
    beam = DecodingOptions(beam_width=3, consensus=0.4, suppress_words=("狗",))
    store_search(folder, beam)
    loaded = load_bundle(folder)
    assert (loaded.decoding, stored_search(folder)) == (beam, beam)
    assert {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]} == {CONFIG}
    assert loaded.digest() == bundle.digest()
    with pytest.raises(BundleError, match=r"decoding\.samples must be at most 64 in a bundle, got 65"):
        store_search(folder, DecodingOptions(temperature=1.0, samples=65))
    assert stored_search(folder) == beam
    store_search(folder, DecodingOptions())
    assert (folder / CONFIG).read_bytes() == before[CONFIG]
    assert stored_search(folder / "gone", beam) == beam
    save_bundle(loaded, folder)
    assert load_bundle(folder).decoding == beam


def test_a_moved_bundle_still_loads(folder, tmp_path):
    load_bundle(shutil.move(folder, tmp_path / "elsewhere"))


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "no folder": (shutil.rmtree, "No bundle"),
    "no config": (lambda folder: (folder / CONFIG).unlink(), CONFIG),
    "no vocabulary": (lambda folder: (folder / VOCABULARY).unlink(), VOCABULARY),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
    "vocabulary changed": (lambda folder: flip_byte(folder / VOCABULARY), VOCABULARY),
    "weights changed": (lambda folder: flip_byte(folder / WEIGHTS), WEIGHTS),
    "weights empty": (lambda folder: (folder / WEIGHTS).write_bytes(b""), WEIGHTS),
    "no JSON": (write_config(b'{"format": 1'), CONFIG),
    "not UTF-8": (write_config(b"\xff\xfe{}"), CONFIG),
    "a list": (write_config(b"[]"), CONFIG),
    "empty object": (write_config(b"{}"), CONFIG),
    "newer format": (set_value("format", 2), "format 2"),
    "text is not a table": (set_value("text", "zh"), CONFIG),
    "files is not a table": (set_value("files", [1]), CONFIG),
    "facts is not a table": (set_value("facts", 3), CONFIG),
    "unknown setting": (set_value("text.color", 1), CONFIG),
    "unknown size": (set_value("captioner.depth", 1), CONFIG),
    "other size": (set_value("captioner.hidden_dim", 24), CONFIG),
    "other layers": (set_value("captioner.num_layers", 4), CONFIG),
    "shorter vocabulary": (change_vocabulary(lambda lines: lines[:-1]), "12 tokens.*13"),
    "no vocabulary inside": (write(VOCABULARY, "[PAD]\n一只\n".encode()), VOCABULARY),
    "no weights inside": (write(WEIGHTS, b"not HDF5"), "weights"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_bundle_error_that_names_the_file(folder, damage):
    change, message = DAMAGES[damage]
    change(folder)
    with pytest.raises(BundleError, match=message) as raised:
        load_bundle(folder)
    assert str(folder) in str(raised.value)


def test_saving_over_a_bundle_replaces_the_whole_folder(bundle, folder):
    (folder / "leftover.txt").write_text("of the old bundle")
    save_bundle(dataclasses.replace(bundle, facts={"val_token_loss": 1.0}), folder)
    assert load_bundle(folder).facts == {"val_token_loss": 1.0}
    assert not (folder / "leftover.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_a_failed_save_leaves_the_bundle_unchanged(bundle, folder, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(bundle.captioner, "save_weights", fail)
    with pytest.raises(OSError, match="full"):
        save_bundle(bundle, folder)
    assert load_bundle(folder).facts == bundle.facts


def test_the_user_dictionary_is_in_the_bundle(bundle, tmp_path):
    dictionary = tmp_path / "words.txt"
    dictionary.write_text("小猫咪 1000\n", encoding="utf-8")
    save_bundle(dataclasses.replace(bundle, text=TextConfig(user_dictionary=str(dictionary))), tmp_path / "first")
    dictionary.unlink()
    moved = shutil.move(tmp_path / "first", tmp_path / "second")
    again = load_bundle(moved)
    assert (moved / DICTIONARY).is_file()
    assert "小猫咪" in again.segmenter().segment("一只小猫咪在睡觉")
    save_bundle(again, tmp_path / "third")  # a loaded bundle can be saved again
    assert load_bundle(tmp_path / "third").segmenter().segment("小猫咪") == ["小猫咪"]


def test_the_folder_of_a_run_stands_for_its_bundle(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").touch()
    for name in ("flickr8k", "flickr8k_zh"):
        with pytest.raises(
            BundleError, match=rf"No bundle in {name}: there is no such folder\. Did you mean 'flickr8k-zh"
        ):
            load_bundle(name)
    with pytest.raises(BundleError, match=r"there is no such folder\. Those that ship: flickr8k-zh, flickr8k-en"):
        load_bundle(tmp_path / "gone")
    with pytest.raises(BundleError, match=r"No bundle in .*run: it is a training run that has not finished an epoch"):
        load_bundle(run)
    shutil.copytree(folder, run / "bundle")
    assert load_bundle(run).tokenizer.vocabulary == load_bundle(folder).tokenizer.vocabulary


def test_the_backbone_of_the_training_is_loaded(bundle, folder, backbone):
    assert load_bundle(folder).load_backbone(backbone.config.weights).key == backbone.key


def test_the_backbone_is_found_if_its_path_is_of_another_machine(bundle, folder, backbone_config, monkeypatch):
    set_value("backbone.weights", "/another/machine.weights.h5")(folder)
    again = load_bundle(folder)
    assert again.load_backbone(backbone_config.weights).key == bundle.backbone_key
    monkeypatch.setenv(WEIGHTS_ENV_VAR, backbone_config.weights)
    assert again.load_backbone().key == bundle.backbone_key


def test_another_backbone_is_rejected_and_the_difference_named(folder, tmp_path):
    other = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(
        BundleError, match=r"weights '.*other\.weights\.h5' are not those .*weights_sha256 \w{12}\.\., got"
    ):
        load_bundle(folder).load_backbone(str(tmp_path / "other.weights.h5"))


def test_a_path_in_the_bundle_is_never_opened(bundle, folder, monkeypatch, tmp_path):
    planted = tmp_path / "planted.weights.h5"
    planted.write_bytes(b"")
    set_value("backbone.weights", str(planted))(folder)
    opened = []

    def build(config, weights):
        opened.append(weights)
        raise ConfigError("no internet")

    monkeypatch.setattr("caption_tx.bundle.Backbone", build)
    with pytest.raises(ConfigError, match=r"trained with the backbone weights in a file 'planted\.weights\.h5'"):
        load_bundle(folder).load_backbone()
    assert opened == ["imagenet"]


def test_the_precision_policy_of_the_process_does_not_change_a_loaded_bundle(folder, inputs, backbone):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = load_bundle(folder).captioner(inputs), backbone.encode(images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        again = load_bundle(folder)
        logits, features = again.captioner(inputs), again.load_backbone(backbone.config.weights).encode(images)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(logits, expected[0])
    np.testing.assert_array_equal(features, expected[1])


def test_float16_weights_are_the_rounded_weights_in_half_the_size(bundle, folder, tmp_path):
    save_bundle(bundle, tmp_path / "half", half=True)
    half = load_bundle(tmp_path / "half")
    sizes = [(path / WEIGHTS).stat().st_size for path in (folder, tmp_path / "half")]
    count = sum(weight.shape.num_elements() for weight in bundle.captioner.weights)
    assert sizes[0] - sizes[1] >= 2 * count  # two bytes less per weight
    for weight, own in zip(half.captioner.weights, bundle.captioner.weights, strict=True):
        assert weight.dtype == "float32"
        np.testing.assert_array_equal(weight.numpy(), own.numpy().astype(np.float16).astype(np.float32))


def test_weights_beyond_the_range_of_float16_are_rejected(bundle, tmp_path):
    log_prior = bundle.captioner.token_output.log_prior
    kept = log_prior.numpy()
    log_prior.assign(np.full_like(kept, 7e4))
    try:
        with pytest.raises(BundleError, match="exceeds the largest float16"):
            save_bundle(bundle, tmp_path / "half", half=True)
        assert not list(tmp_path.iterdir())
    finally:
        log_prior.assign(kept)


def test_a_bundle_name_takes_precedence_over_a_folder(tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(assets, "asset", lambda name: shipped / name)
    monkeypatch.chdir(tmp_path)
    assert assets.bundle_folder("flickr8k-zh") == shipped / "flickr8k-zh"
    assert assets.bundle_folder("other") == Path("other")
    for folder in ("./flickr8k-zh", Path("flickr8k-zh")):
        assert assets.bundle_folder(folder) == Path("flickr8k-zh")
    Path("flickr8k-zh").mkdir()  # such as a dataset or a run
    assert assets.bundle_folder("flickr8k-zh") == shipped / "flickr8k-zh"


KILLED_BETWEEN_RENAMES = """
import os, signal, sys
from caption_tx import bundle

loaded = bundle.load_bundle(sys.argv[1])
rename, calls = os.rename, []

def die_at_the_second(source, target):
    calls.append(source)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

os.rename = die_at_the_second
bundle.save_bundle(loaded, sys.argv[1])
"""


def test_a_kill_between_the_two_renames_is_repaired(bundle, folder, tmp_path, run_forked):
    copy = tmp_path / "copy" / "bundle"
    shutil.copytree(folder, copy)
    before = sorted(os.listdir(copy))
    assert run_forked(KILLED_BETWEEN_RENAMES, copy).returncode == -signal.SIGKILL
    assert not copy.exists()
    recover_bundle(copy)
    assert os.listdir(copy.parent) == ["bundle"]
    assert sorted(os.listdir(copy)) == before
    load_bundle(copy)
    assert run_forked(KILLED_BETWEEN_RENAMES, copy).returncode == -signal.SIGKILL
    save_bundle(bundle, copy)
    assert os.listdir(copy.parent) == ["bundle"]


def test_the_pooling_is_among_the_facts_and_the_default_without_one(bundle):
    assert bundle.pool == "sharp"
    assert dataclasses.replace(bundle, facts={"attention": {"pool": "mean"}}).pool == "mean"
    assert dataclasses.replace(bundle, facts={"attention": {"pool": "rollout"}}).pool == "rollout"
    for facts in ({"attention": "rollout"}, {"attention": {"pool": "sum"}}, {"attention": {"pool": ["mean"]}}):
        assert dataclasses.replace(bundle, facts=facts).pool == "sharp"


def test_the_accuracy_of_maps_is_among_the_facts(bundle):
    assert bundle.map_accuracy == {}
    words = {"people": {"pointing": 0.9, "mass": 0.6}, "scene": {"pointing": 2}, "other": "0.5", "animals": {}}
    assert dataclasses.replace(bundle, facts={"attention": {"words": words}}).map_accuracy == {"people": 0.9}
