"""Bundles on the Hugging Face Hub, against a local server that answers like it as far as these functions ask."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import caption_tx
from caption_tx.bundle import load_bundle, save_bundle
from caption_tx.cli import main
from caption_tx.config import DecodingOptions
from caption_tx.data.features.retrieval_index import build_index
from caption_tx.errors import BundleError, ConfigError
from caption_tx.hub import download_bundle, parse_address

pytest.importorskip("huggingface_hub")

pytestmark = pytest.mark.usefixtures("shared_backbones")


def test_a_published_bundle_captions_like_the_original(fake_hub, run, scenes, capfd):
    frame, images = scenes
    page = caption_tx.push_to_hub(run, "user/scenes")
    assert page == f"{fake_hub.address}/user/scenes"
    files = fake_hub.repositories["user/scenes"][-1]
    assert set(files) == {"config.json", "vocabulary.txt", "model.weights.h5", "README.md"}
    card = files["README.md"].decode()
    assert card.startswith("---\n") and "\nlanguage: zh\n" in card and "pipeline_tag: image-to-text" in card
    assert 'caption_tx.load("hf://user/scenes")' in card and "| val_token_loss |" in card
    captioner = caption_tx.load("hf://user/scenes")
    assert captioner.digest == run.captioner.digest and captioner.name == "hf://user/scenes"
    name = frame["image"][0]
    assert captioner.caption(images / name).text == run.captioner.caption(images / name).text
    assert not [path for path in Path(download_bundle("hf://user/scenes")).rglob("*") if path.is_symlink()]
    capfd.readouterr()
    assert main(["caption", str(images / name), "--bundle", "hf://user/scenes"]) == 0
    assert run.captioner.caption(images / name).text in capfd.readouterr().out


def test_captions_of_training_images_are_published_only_on_request(fake_hub, run, tmp_path):
    original = load_bundle(run.bundle_path)
    channels = original.captioner.settings.feature_shape[-1]
    index = build_index(np.random.default_rng(0).random((5, channels)), [[[5, 3]]] * 5)
    search = DecodingOptions(beam_width=3, consensus=0.4, retrieval=8.0)
    save_bundle(replace(original, retrieval=index, decoding=search), tmp_path / "bundle")
    caption_tx.push_to_hub(tmp_path / "bundle", "user/private")
    assert "retrieval.h5" not in fake_hub.repositories["user/private"][-1]
    public = caption_tx.load("hf://user/private").bundle
    assert public.retrieval is None and public.decoding == replace(search, retrieval=0.0)
    assert public.digest() == original.digest()
    caption_tx.push_to_hub(tmp_path / "bundle", "user/open", retrieval_index=True)
    assert b"contains 5 captions" in fake_hub.repositories["user/open"][-1]["README.md"]
    published = caption_tx.load("hf://user/open").bundle
    assert published.decoding == search and published.retrieval.sizes == index.sizes


def test_a_new_version_is_downloaded_once_and_old_ones_keep_their_name(fake_hub, run, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(run.bundle_path, bundle)
    caption_tx.push_to_hub(bundle, "user/scenes")
    first = download_bundle("hf://user/scenes")
    (bundle / "README.md").write_text("# Mine\n")
    caption_tx.push_to_hub(bundle, "user/scenes")
    assert fake_hub.repositories["user/scenes"][-1]["README.md"] == b"# Mine\n"
    second = download_bundle("hf://user/scenes")
    assert second != first and first.is_dir()
    fake_hub.requests.clear()
    assert download_bundle("hf://user/scenes") == second and len(fake_hub.requests) == 1
    assert download_bundle(f"hf://user/scenes@{first.name}") == first
    (bundle / "README.md").unlink()
    caption_tx.push_to_hub(bundle, "user/scenes")
    assert fake_hub.repositories["user/scenes"][-1]["README.md"] == b"# Mine\n"  # nobody's card is overwritten


def test_without_a_connection_the_last_download_is_used(fake_hub, run, monkeypatch):
    caption_tx.push_to_hub(run, "user/scenes")
    folder = download_bundle("hf://user/scenes")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="cannot be reached .* The last download is used"):
        assert download_bundle("hf://user/scenes") == folder
    with pytest.raises(BundleError, match="hf://user/other cannot be reached"):
        download_bundle("hf://user/other")


def test_only_files_of_a_bundle_of_possible_size_are_downloaded(fake_hub, run):
    caption_tx.push_to_hub(run, "user/scenes")
    files = fake_hub.repositories["user/scenes"][-1]
    files |= {"../evil.txt": b"x", "train.py": b"import os", "sub/config.json": b"{}"}
    folder = download_bundle("hf://user/scenes")
    assert {path.name for path in folder.iterdir()} == {"config.json", "vocabulary.txt", "model.weights.h5"}
    files["train.py"] += b"\n"
    fake_hub.sizes["config.json"] = 1 << 40
    with pytest.raises(BundleError, match=r"config\.json has 1,099,511,627,776 bytes, more than"):
        download_bundle("hf://user/scenes")
    fake_hub.repositories["user/empty"] = [{"README.md": b"hello"}]
    with pytest.raises(BundleError, match="hf://user/empty contains no bundle"):
        caption_tx.load("hf://user/empty")


def test_a_damaged_download_is_explained(fake_hub, run):
    caption_tx.push_to_hub(run, "user/scenes")
    fake_hub.repositories["user/scenes"][-1]["vocabulary.txt"] += b"x\n"
    with pytest.raises(BundleError, match=r"vocabulary\.txt"):
        caption_tx.load("hf://user/scenes")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://user/gone", "does not exist, or is private"),
        ("hf://user/scenes@v9", "has no revision 'v9'"),
        ("hf://name", "is no address on the Hub"),
        ("hf://user/name/file", "is no address on the Hub"),
        ("hf://../etc/passwd", "is no address on the Hub"),
        ("hf://user/..", "is no address on the Hub"),
        ("hf://user/name@../../x", "is no address on the Hub"),
        ("hf://user/name@", "is no address on the Hub"),
        ("hf://user/a\nb", "is no address on the Hub"),
    ],
)
def test_wrong_addresses_are_explained(fake_hub, address, message):
    fake_hub.repositories["user/scenes"] = [{}]
    with pytest.raises(BundleError, match=message) as error:
        caption_tx.load(address)
    assert "\n" not in str(error.value)


def test_publishing_needs_a_valid_bundle_and_a_name(fake_hub, run, tmp_path):
    with pytest.raises(BundleError, match="No bundle in"):
        caption_tx.push_to_hub(tmp_path, "user/scenes")
    with pytest.raises(BundleError, match="is no address"):
        caption_tx.push_to_hub(run, "scenes")
    bundle = tmp_path / "bundle"
    shutil.copytree(run.bundle_path, bundle)
    with (bundle / "vocabulary.txt").open("a") as file:
        file.write("x\n")
    with pytest.raises(BundleError, match="vocabulary"):
        caption_tx.push_to_hub(bundle, "user/scenes")
    assert not fake_hub.requests  # nothing was sent


def test_a_path_of_weights_is_not_published(fake_hub, run, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(run.bundle_path, bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["backbone"]["weights"] = "/home/me/secret/net.weights.h5"
    (bundle / "config.json").write_text(json.dumps(config))
    caption_tx.push_to_hub(bundle, "hf://user/scenes", private=True)
    files = fake_hub.repositories["user/scenes"][-1]
    assert json.loads(files["config.json"])["backbone"]["weights"] == "net.weights.h5"
    assert b"pass the file `net.weights.h5`" in files["README.md"]
    assert not any(b"secret" in data for data in files.values())


def test_a_missing_package_is_explained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"pip install 'caption_tx\[hub\]'"):
        caption_tx.load("hf://user/name")


def test_addresses_have_a_repository_and_a_revision():
    assert parse_address("hf://user/my.name-1") == ("user/my.name-1", "main")
    assert parse_address("hf://user/name@feature/x") == ("user/name", "feature/x")
