"""Captions in YAML."""

import sys

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT = "一只狗在草地上跑", "两只猫在睡觉"
ONE = [("a.jpg", DOG), ("b.jpg", CAT)]
FORMS = {
    "entries": f"- image: a.jpg\n  caption: {DOG}\n- image: b.jpg\n  caption: [{CAT}]\n",
    "names": f"a.jpg: {DOG}\nb.jpg:\n- {CAT}\n",
    "documents": f"---\nimage: a.jpg\ncaption: {DOG}\n---\nimage: b.jpg\ncaption: {CAT}\n",
    "splits": f"train:\n- {{image: a.jpg, caption: {DOG}}}\nval:\n- {{image: b.jpg, caption: {CAT}}}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_yaml_is_read_like_json(write, form):
    pytest.importorskip("yaml")
    table = read_corpus(write("x.yaml", FORMS[form]))
    assert list(zip(table["image"], table["caption"], strict=True)) == ONE


def test_scalars_are_text_and_repeated_keys_are_all_read(write):
    pytest.importorskip("yaml")
    entries = (
        "image: 007, caption: no",
        "image: 2.jpg, caption: a dog, caption: it runs",
        "image: 3.jpg, caption: 1:30",
    )
    table = read_corpus(write("x.yml", "".join(f"- {{{entry}}}\n" for entry in entries)))
    assert list(table["image"]) == ["007", "2.jpg", "2.jpg", "3.jpg"]
    assert list(table["caption"]) == ["no", "a dog", "it runs", "1:30"]


def test_other_yaml_files_are_rejected(write, monkeypatch):
    pytest.importorskip("yaml")
    with pytest.raises(CorpusError, match=r"x\.yml, line 3: not valid YAML \(expected"):
        read_corpus(write("x.yml", "- image: a.jpg\n  caption: [一只\n- b: }\n"))
    with pytest.raises(CorpusError, match=r"data\.yaml: expected .*found the keys 'train, val, nc, names'"):
        read_corpus(write("data.yaml", "train: ../images/train\nval: ../images/val\nnc: 2\nnames: [cat, dog]\n"))
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(CorpusError, match=r'pip install "caption_tx\[yaml\]" to read it, or convert it to JSON'):
        read_corpus(write("x.yml", "a.jpg: 一只狗\n"))
