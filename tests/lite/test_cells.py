"""What single cells say: read where the posterior is shown, and missing in files of older versions."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import caption_tx.lite
from caption_tx.cli import bundles, main
from caption_tx.config import ExplanationOptions
from caption_tx.errors import ConfigError
from caption_tx.export.graphs import CaptionGraphs
from caption_tx.inference.attention.teacher_forcing import read_cells
from caption_tx.inference.explanation_files import explain_images
from caption_tx.lite.exported_file import CACHE_ENV_VAR, cached_export

pytest.importorskip("ai_edge_litert")


@pytest.fixture
def make_old(exported, tmp_path):
    """Makes an export without the signature `cells`, whose bundle pools maps in some way."""

    def make(pool: str = "sharp", path=None):
        path = path or tmp_path / "old.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in ("export.json", "vocabulary.txt"):
            shutil.copy(exported.path.with_name(name), path.with_name(name))
        shutil.copy(exported.path, path)
        values = json.loads(path.with_name("export.json").read_text(encoding="utf-8"))
        values["signatures"].pop("cells")
        path.with_name("export.json").write_text(json.dumps(values | {"file": path.name, "pool": pool}))
        return path

    return make


@pytest.mark.parametrize(
    "out, options, is_read",
    [
        (None, {}, False),
        ("a.png", {}, False),
        ("a.png", {"layer": 0}, False),
        ("a.png", {"pool": "posterior"}, True),
        (None, {"pool": "posterior"}, True),
        ("a.html", {}, True),
        ("a.html", {"compare": "mean"}, True),
        ("a.json", {}, True),
        ("a.NPZ", {}, True),
    ],
)
def test_cells_are_read_where_they_are_shown(out, options, is_read, captioner, lite, files, tmp_path):
    out = None if out is None else tmp_path / out
    for target in (captioner, lite):
        found = []
        options_of = ExplanationOptions(out=out, caption="a b", **options)
        explain_images(target, files[:1], options_of, lambda name, maps, found=found: found.append(maps))
        assert [maps.cell_log_probabilities is not None for maps in found] == [is_read]


def test_files_of_older_versions_explain_without_the_posterior(make_old, lite, files, tmp_path, capsys):
    old = make_old()
    captioner = caption_tx.lite.load(old)
    maps = captioner.explain(files[0], "a b")
    assert maps.cell_log_probabilities is None
    assert (maps.pooled() == lite.explain(files[0], "a b").pooled()).all()
    with pytest.raises(ConfigError, match="The posterior needs"):
        maps.pooled(pool="posterior")
    page = tmp_path / "a.html"
    command = ["explain", files[0], "--bundle", str(old)]
    assert (
        main([*command, "--out", str(page)]) == 0
        and "posterior" not in page.read_text(encoding="utf-8").split("<script")[0]
    )
    capsys.readouterr()
    for arguments in (["--pool", "posterior"], ["--compare", "posterior", "--out", str(page)]):
        assert main([*command, *arguments]) == 1
        [error] = capsys.readouterr().err.splitlines()
        assert error.endswith(
            "old.tflite has no signature cells, which the posterior needs; export the bundle again, "
            "or choose another pooling."
        )


def test_a_stored_posterior_that_a_file_cannot_read_is_an_error(make_old, files, capsys):
    command = ["explain", files[0], "--bundle", str(make_old("posterior"))]
    assert main(command) == 1
    assert "has no signature cells" in capsys.readouterr().err
    assert main([*command, "--pool", "mean"]) == 0 and main([*command, "--layer", "0"]) == 0


def test_a_cached_export_of_an_older_version_leaves_the_posterior_to_the_bundle(
    make_old, one_layer_bundle, files, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv(CACHE_ENV_VAR, str(tmp_path / "cache"))
    make_old(path=cached_export(Path(one_layer_bundle)))
    for pools, is_used in (
        ((), True),
        (("mean", None), True),
        (("posterior", None), False),
        ((None, "posterior"), False),
    ):
        found = bundles._load_cached(one_layer_bundle, {}, files, pools)
        assert (found is not None) == is_used
    error = (
        "the cached export is not used: it has no signature cells, which the posterior needs; export the bundle again"
    )
    assert capsys.readouterr().err.count(error) == 2


def test_the_graph_reads_the_cells_of_several_images(captioner):
    features = np.random.default_rng(4).normal(size=(2, *captioner.backbone.feature_shape)).astype(np.float32)
    token_lists = [[2, 4, 3], [2, 5, 4, 4, 3]]
    expected = read_cells(captioner.bundle.captioner, features, token_lists)
    token_ids = np.zeros((2, captioner.max_length), np.int32)
    for row, ids in enumerate(token_lists):
        token_ids[row, : len(ids) - 1] = ids[1:]
    cells = CaptionGraphs(captioner).cells(tf.constant(features), tf.constant(token_ids)).numpy()  # (B, P, S)
    for row, values in enumerate(expected):
        count = len(values)
        np.testing.assert_allclose(cells[row, :count], values.reshape(count, -1), atol=1e-4)
        assert not cells[row, count:].any()
