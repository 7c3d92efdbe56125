"""Pieces of words, as tokenizers of models mark them, in lists of words and in text."""

import json

import pytest

from caption_tx.data.corpus.captions.word_pieces import PIECES_JOINED, join_pieces
from caption_tx.data.corpus.table import read_corpus

# Words, and the places of those that continue the word before them.
ENGLISH = [
    ("a brown dog chase s a fris bee on the grass", {4, 7}),
    ("two girls build a sand cast le at the beach", {5, 6}),
    ("a man in a red coat is play ing the guitar", {8}),
    ("a café beside a harbor", set()),
]
CHINESE = [
    ("一只 狗 在 追 飞 盘", {5}),
    ("男人 穿 ni ke 的 鞋子", {3}),
    ("两个 女孩 在 跑", set()),
]
MARKS = {
    "WordPiece": lambda words, inside: [f"##{word}" if at in inside else word for at, word in enumerate(words)],
    "BERT": lambda words, inside: ["[CLS]", *MARKS["WordPiece"](words, inside), "[SEP]"],
    "BPE": lambda words, inside: [f"{word}@@" if at + 1 in inside else word for at, word in enumerate(words)],
    "ends": lambda words, inside: [word if at + 1 in inside else f"{word}</w>" for at, word in enumerate(words)],
    "SentencePiece": lambda words, inside: [word if at in inside else f"▁{word}" for at, word in enumerate(words)],
    "byte-level BPE": lambda words, inside: [
        (word if at in inside or not at else f"Ġ{word}").replace("é", "Ã©") for at, word in enumerate(words)
    ],
    "OpenNMT": lambda words, inside: [f"￭{word}" if at in inside else word for at, word in enumerate(words)],
}


def joined(text, inside, space):
    words = text.split()
    return "".join(
        word if at in inside or not at else (space if word.isascii() and words[at - 1].isascii() else "") + word
        for at, word in enumerate(words)
    )


def notes_of(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize("captions", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("kind", MARKS)
def test_pieces_in_lists_are_joined(write, kind, captions):
    lists = [MARKS[kind](text.split(), inside) for text, inside in captions]
    entries = [json.dumps({"image": f"{at}.jpg", "tokens": words}) for at, words in enumerate(lists)]
    table = read_corpus(write("x.jsonl", "\n".join(entries)))
    is_english = captions is ENGLISH
    expected = [
        " ".join(join_pieces(MARKS["WordPiece"](text.split(), inside))) if is_english else joined(text, inside, " ")
        for text, inside in captions
    ]
    assert list(table["caption"]) == expected
    assert "@@" not in "".join(expected) and "##" not in "".join(expected)
    are_all = kind in ("ends", "SentencePiece", "byte-level BPE")
    assert notes_of(table)[PIECES_JOINED] == len(captions) - (not are_all)
    assert notes_of(table)["captions joined from lists of words"] == len(captions)


@pytest.mark.parametrize("captions", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("kind", MARKS)
def test_pieces_in_text_are_joined(write, kind, captions):
    lines = [f"{at}.jpg,{' '.join(MARKS[kind](text.split(), inside))}" for at, (text, inside) in enumerate(captions)]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *lines])))
    expected = [join_pieces(MARKS["WordPiece"](text.split(), inside)) for text, inside in captions]
    assert list(table["caption"]) == [" ".join(words) for words in expected]
    assert PIECES_JOINED in notes_of(table)
    assert not any(note.startswith("cells with several captions") for note in notes_of(table))


@pytest.mark.parametrize("separator", ["@@", " @@ ", "@@ ", "##", " ## ", " ##"])
@pytest.mark.parametrize(
    "parts",
    [
        ["a dog runs on the grass", "the dog is brown"],
        ["A dog runs on the grass", "Brown dogs run"],
        ["一只狗在草地上跑", "棕色的狗追着飞盘跑"],
    ],
)
def test_signs_between_captions_still_separate(write, separator, parts):
    lines = [f"{at}.jpg,{separator.join(parts)}" for at in range(4)]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *lines])))
    assert list(table["caption"]) == parts * 4
    assert PIECES_JOINED not in notes_of(table)


@pytest.mark.parametrize(
    "captions",
    [
        ["Ġużeppi and a dog on a beach", "a cat sleeps on the sofa", "two men play chess"],
        ["a level meter ▁▃▅ on a screen", "a cat sleeps on the sofa", "two men play chess"],
        ["a poster with ##dogs written on it", *["a cat sleeps on the sofa"] * 30],
        ["an address me@@here on a sign", *["a cat sleeps on the sofa"] * 30],
    ],
)
def test_such_signs_in_few_captions_stay(write, captions):
    lines = [f"{at}.jpg,{caption}" for at, caption in enumerate(captions)]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *lines])))
    assert list(table["caption"]) == captions
    assert PIECES_JOINED not in notes_of(table)


def test_pieces_in_rows_columns_and_keys_of_their_own(write):
    words = ["a", "dog", "chase", "##s", "birds"]
    images = [f"{at}.jpg" for at in range(3)]
    rows = [f"{image},{at},{word}" for image in images for at, word in enumerate(words, 1)]
    columns = ["image,word1,word2,word3,word4,word5", *(f"{image},{','.join(words)}" for image in images)]
    keys = [{"image": image, **{f"word{at}": word for at, word in enumerate(words)}} for image in images]
    coco = {"images": [{"filename": image, "sentences": [{"tokens": words}]} for image in images]}
    files = {
        "rows.csv": "\n".join(["image,position,word", *rows]),
        "columns.csv": "\n".join(columns),
        "keys.jsonl": "\n".join(map(json.dumps, keys)),
        "karpathy.json": json.dumps(coco),
    }
    for name, text in files.items():
        table = read_corpus(write(name, text))
        assert list(table["caption"]) == ["a dog chases birds"] * 3, name
        assert notes_of(table)[PIECES_JOINED] == 3, name
