"""The packages that an exported file needs are named before it is read, and installed by the guide."""

import re
import tomllib
from pathlib import Path, PurePath

import pytest

import caption_tx.lite
from caption_tx.cli import bundles, main
from caption_tx.lite.packages import CAPTIONS, CHINESE, EXPLANATIONS, PAGES, PARQUET, packages_for, pip_line

pytest.importorskip("ai_edge_litert")

GUIDE = Path(__file__).resolve().parents[2] / "assets" / "docs" / "export.md"


def test_the_guide_installs_what_commands_need_in_supported_versions():
    lines = re.findall(r"^pip install '.*$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    groups = (CAPTIONS, EXPLANATIONS, PAGES, CHINESE, PARQUET)
    project = tomllib.loads((GUIDE.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [*project["dependencies"], *project["optional-dependencies"]["litert"]]
    supported = {re.match(r"[\w-]+", text)[0]: f"'{text}'" for text in versions}
    assert lines == [" ".join(["pip install", *(supported[name] for name in group)]) for group in groups]


def test_packages_depend_on_the_output():
    assert packages_for(None, False, False) == CAPTIONS
    assert packages_for(PurePath("a.HTML"), True, True) == (*CAPTIONS, *PAGES, *CHINESE)
    assert packages_for(PurePath("a.parquet"), False, False) == (*CAPTIONS, *PARQUET)
    assert pip_line(["nothing"]) == "pip install 'nothing'"


def test_words_of_chinese_text_need_jieba(without, capsys, tmp_path):
    (tmp_path / "export.json").write_text('{"language": "zh"}')
    without("jieba")
    command = ["caption", "a.png", "--bundle", str(tmp_path / "a.tflite"), "--prefix"]
    assert main([*command, "一只"]) == 1
    assert "needs the package jieba" in capsys.readouterr().err


def test_without_tensorflow_bundles_point_to_exported_files(one_layer_bundle, files, without, monkeypatch, capsys):
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    without("tensorflow")
    monkeypatch.setattr(bundles, "start_tensorflow", fail)
    assert main(["caption", files[0], "--bundle", one_layer_bundle]) == 1
    assert "name an exported file (`--bundle FILE.tflite`)" in capsys.readouterr().err
    monkeypatch.setitem(caption_tx._MODULES, "load", "tensorflow_is_missing")
    with pytest.raises(ModuleNotFoundError, match=r"caption_tx\.load needs TensorFlow.*caption_tx\.lite\.load"):
        getattr(caption_tx, "load")  # noqa: B009
