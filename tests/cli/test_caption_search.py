"""The command follows the search of the bundle and reports it; a search without a result is an error."""

import json
import shutil

import pytest
from bundle_edits import change_weights

from caption_tx.bundle import store_search
from caption_tx.cli import main
from caption_tx.config import DecodingOptions

pytestmark = pytest.mark.usefixtures("loaded_once")


def test_a_missing_caption_is_no_success(one_layer_bundle, backbone, write_pictures, tmp_path, monkeypatch, capsys):
    """The weights are finite, but the logits overflow."""
    folder = shutil.copytree(one_layer_bundle, tmp_path / "bundle")
    change_weights(lambda file, _: file["embedding/vars/0"].__setitem__(..., 3e38))(folder)
    [name] = write_pictures(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    command = ["caption", name, "--bundle", str(folder), "--backbone-weights", backbone.config.weights]
    for out in ([], ["--out", "captions.jsonl"]):
        assert main([*command, *out]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert "The search found no caption of '000.png'" in error and "its weights overflow" in error


def test_the_search_of_the_bundle_is_followed_and_reported(one_layer_bundle, write_pictures, tmp_path, capsys):
    stored = shutil.copytree(one_layer_bundle, tmp_path / "stored")
    store_search(stored, DecodingOptions(beam_width=4, consensus=0.3))
    [name] = write_pictures(tmp_path, 1)
    image = str(tmp_path / name)

    def caption(folder, *options):
        assert main(["caption", image, "--bundle", str(folder), *options]) == 0
        return capsys.readouterr()

    plain, errors = caption(one_layer_bundle)
    assert errors == ""
    beam, errors = caption(one_layer_bundle, "--beam-width", "4", "--consensus", "0.3")
    assert errors == ""
    printed, errors = caption(stored)
    assert (printed, errors) == (beam, "caption-tx: search: beam_width 4, consensus 0.3 (the bundle's own)\n")
    printed, errors = caption(stored, "--beam-width", "1")
    assert printed == plain
    assert errors == "caption-tx: search: greedy (instead of the bundle's own, beam_width 4, consensus 0.3)\n"

    out = tmp_path / "x.jsonl"
    _, errors = caption(stored, "--out", str(out))
    assert "search: beam_width 4, consensus 0.3" in errors
    recorded = json.loads((tmp_path / "x.jsonl.run.json").read_text("utf-8"))["run"]
    assert (recorded["beam_width"], recorded["consensus"]) == (4, 0.3)
    assert main(["caption", image, "--bundle", one_layer_bundle, "--out", str(out)]) == 1
    assert "made with different options: beam_width (4, now 1), consensus" in capsys.readouterr().err
    assert main(["caption", image, "--bundle", str(stored), "--top-k", "3"]) == 1
    assert capsys.readouterr().err == ("caption-tx: top_k and top_p require sampling; set a temperature above 0.\n")
