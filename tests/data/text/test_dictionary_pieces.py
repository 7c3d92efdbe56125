"""Vocabularies of models, and pieces of words in user dictionaries."""

import pytest

from caption_tx.data.text.user_dictionary import read_user_dictionary
from caption_tx.errors import ConfigError

VOCABULARIES = {
    "vocab.txt": (
        "[PAD]\n[unused1]\n[UNK]\n[CLS]\n一\n狗\n##一\n##狗\nthe\n##ing\n",
        r"line 1: \[PAD\] and 3 .*WordPiece",
    ),
    "sp.vocab": ("<unk>\t0\n<s>\t0\n</s>\t0\n▁\t-3.2\n▁狗\t-4.5\n猫\t-5.5\n", r"line 1: <unk> and 2 .*SentencePiece"),
    "sp.txt": ("[UNK]\n▁狗\n▁the\n猫\n", r"line 1: \[UNK\] and 2 tokens with ▁ .*SentencePiece"),
    "vocab.json": (
        '{"dog</w>": 5, "ca": 6,\n "t</w>": 7, "<unk>": 8}',
        r"line 2: <unk> and 2 tokens with </w> .*\(BPE\)",
    ),
    "bpe.json": ('{"<|endoftext|>": 3, "Ġdog": 5, "Ġcat": 6}', r"line 1: <\|endoftext\|> and 2 tokens with Ġ .*BPE"),
}


def read(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_user_dictionary(tmp_path / name)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_vocabulary_of_a_model_is_an_error(tmp_path, name):
    text, message = VOCABULARIES[name]
    with pytest.raises(ConfigError, match=message + r".* give whole words, one per line\."):
        read(tmp_path, name, text)


@pytest.mark.parametrize(
    ("mark", "lines"),
    [
        ("##", ["##黄狗", "##ing"]),
        ("▁", ["▁黄狗", "▁dog"]),
        ("Ġ", ["Ġdog", "Ġ黄狗"]),
    ],
)
def test_marks_of_pieces_are_reported(tmp_path, mark, lines):
    dictionary = read(tmp_path, "words.txt", "\n".join(["沙堡", *lines]))
    [note] = [note for note in dictionary.notes if note.startswith("Entries with")]
    assert note.startswith(f"Entries with {mark}, which marks a piece of a word in ")
    assert f"is in no caption: line 2 {lines[0]!r} and 1 more; remove the mark or the entry" in note


def test_ends_of_words_are_stripped_like_html(tmp_path):
    dictionary = read(tmp_path, "words.txt", "沙堡\n黄狗</w>\n")
    assert [entry.word for entry in dictionary.entries] == ["沙堡", "黄狗"]
    assert dictionary.notes == ("Read without HTML tags: line 2 '黄狗</w>'.",)


def test_ordinary_entries_are_not_reported(tmp_path):
    text = "红色T恤\nC#\nC++\n#话题\n[UNK]\nB##\n## 水果\n草莓奶盖 10 n\n"
    assert not any("piece" in note for note in read(tmp_path, "words.txt", text).notes)
