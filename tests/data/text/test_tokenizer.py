"""Words to token ids and back, the vocabulary file, and the coverage report."""

import numpy as np
import pytest

from caption_tx.assets import bundle_folder
from caption_tx.config import TextConfig
from caption_tx.data.corpus.table import captions_by_image, read_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer, TokenLists
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS, build_vocabulary
from caption_tx.errors import BundleError

CAPTIONS = [["一个", "女人"], ["狗"], [], ["一个", "狗", "跑", "狗"]]


@pytest.fixture
def tokenizer():
    return Tokenizer([*SPECIAL_TOKENS, "狗", "一个", "女人"], "zh")


def lists(tokens):
    return [item.tolist() for item in tokens]


@pytest.mark.parametrize(
    ("max_size", "min_frequency", "words"),
    [(99, 1, "狗 一个 女人 跑"), (99, 2, "狗 一个"), (5, 1, "狗"), (4, 1, ""), (99, 9, "")],
)
def test_vocabulary_by_size_and_frequency(max_size, min_frequency, words):
    assert build_vocabulary(CAPTIONS, max_size, min_frequency) == [*SPECIAL_TOKENS, *words.split()]


def test_vocabulary_does_not_depend_on_the_order_of_captions():
    assert build_vocabulary(CAPTIONS[::-1], 99, 1) == build_vocabulary(CAPTIONS, 99, 1)


UNUSUAL = ["a  b", " a", "a\u2423b", "", "\u3000", "a\nb", "a\u2028b", "a\0", "\ud800", "[UNK]", "[PAD]", "[END]"]


def test_invalid_words_neither_enter_the_vocabulary_nor_shift_ids(tokenizer):
    assert build_vocabulary([UNUSUAL, ["x"]], 99, 1) == [*SPECIAL_TOKENS, "x"]
    assert lists(tokenizer.tokenize([[*UNUSUAL, "狗"]])) == [[2, *[1] * len(UNUSUAL), 4, 3]]


def test_tokenize(tokenizer):
    tokens = tokenizer.tokenize(CAPTIONS)
    assert lists(tokens) == [[2, 5, 6, 3], [2, 4, 3], [2, 3], [2, 5, 4, 1, 4, 3]]
    assert (tokens.values.dtype, tokens.num_truncated, len(tokens)) == (np.int32, 0, 4)
    assert tokens[-1].tolist() == [2, 5, 4, 1, 4, 3]
    assert lists(tokens[1:3]) == [[2, 4, 3], [2, 3]]
    with pytest.raises(IndexError):
        tokens[4]


def test_long_captions_are_truncated_and_counted(tokenizer):
    tokens = tokenizer.tokenize(CAPTIONS, max_length=3)
    assert lists(tokens) == [[2, 5, 6], [2, 4, 3], [2, 3], [2, 5, 4]]
    assert tokens.num_truncated == 2
    with pytest.raises(ValueError, match="max_length"):
        tokenizer.tokenize(CAPTIONS, max_length=0)


def test_no_captions(tokenizer):
    tokens = tokenizer.tokenize(iter([]))
    assert (len(tokens), lists(tokens), tokenizer.count_tokens(tokens).sum()) == (0, [], 0)
    assert tokenizer.count_tokens([]).tolist() == [0] * 7


def test_ids_match_the_layer(tokenizer):
    assert np.asarray(tokenizer.layer(["狗 一个 跑", "[START] 女人"])).tolist() == [[4, 5, 1], [2, 6, 0]]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert (tokenizer.start_token_id, tokenizer.end_token_id) == (2, 3)
    assert tokenizer.suppress_tokens == (0, 1, 2)
    assert tokenizer.vocabulary_size == 7


def test_to_words_and_detokenize(tokenizer):
    assert tokenizer.to_words([2, 5, 1, 4, 3, 6, 6]) == ["一个", "狗"]
    assert tokenizer.detokenize(np.array([2, 5, 4, 3, 0])) == "一个狗"
    assert Tokenizer([*SPECIAL_TOKENS, "a", "dog"], "en").detokenize([4, 5]) == "a dog"
    assert tokenizer.detokenize([]) == ""
    for bad in (-1, 7):
        with pytest.raises(ValueError, match=r"is not in \[0, 7\)"):
            tokenizer.to_words([bad])


def test_words_of_a_user_dictionary_may_contain_spaces(tmp_path):
    captions = [["用", "leap motion", "玩"], ["leap", "motion"]]
    tokenizer = Tokenizer(build_vocabulary(captions, 99, 1), "zh")
    assert [tokenizer.to_words(item) for item in tokenizer.tokenize(captions)] == captions
    assert tokenizer.detokenize(tokenizer.tokenize(captions)[0]) == "用leap motion玩"
    tokenizer.save(tmp_path / "vocabulary.txt")
    assert Tokenizer.load(tmp_path / "vocabulary.txt", "zh").vocabulary == tokenizer.vocabulary


def test_round_trip(tokenizer):
    captions = [["狗", "一个"], ["女人"]]
    assert [tokenizer.to_words(item) for item in tokenizer.tokenize(captions)] == captions


def test_count_tokens_counts_labels(tokenizer):
    expected = [0, 1, 0, 4, 3, 2, 1]
    assert tokenizer.count_tokens(tokenizer.tokenize(CAPTIONS)).tolist() == expected
    assert tokenizer.count_tokens(list(tokenizer.tokenize(CAPTIONS))).tolist() == expected
    with pytest.raises(ValueError, match="Token id 7"):
        tokenizer.count_tokens(TokenLists(np.array([7]), np.array([0, 1])))


def test_coverage(tokenizer):
    coverage = tokenizer.coverage(CAPTIONS)
    assert coverage == {
        "vocabulary_size": 7,
        "captions": 4,
        "words": 7,
        "longest_caption": 4,
        "oov_words": 1,
        "oov_share": pytest.approx(1 / 7),
        "oov_most_common": [["跑", 1]],
    }
    assert tokenizer.coverage([])["oov_share"] == 0


def test_save_and_load(tokenizer, tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("old content")
    tokenizer.save(path)
    assert path.read_bytes().decode() == "[PAD]\n[UNK]\n[START]\n[END]\n狗\n一个\n女人\n"
    assert list(tmp_path.iterdir()) == [path]
    loaded = Tokenizer.load(path, "zh")
    assert loaded.vocabulary == tokenizer.vocabulary
    assert lists(loaded.tokenize(CAPTIONS)) == lists(tokenizer.tokenize(CAPTIONS))


def test_a_failed_save_keeps_the_old_file(tokenizer, tmp_path, monkeypatch):
    path = tmp_path / "vocabulary.txt"
    path.write_text("old content")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        tokenizer.save(path)
    assert [item.name for item in tmp_path.iterdir()] == ["vocabulary.txt"]
    assert path.read_text() == "old content"


def test_load_accepts_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes("\ufeff[PAD]\r\n[UNK]\r\n[START]\r\n[END]\r\n狗\r\n".encode())
    assert Tokenizer.load(path, "zh").vocabulary == (*SPECIAL_TOKENS, "狗")


SPECIAL_LINES = "[PAD]\n[UNK]\n[START]\n[END]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"vocabulary\.txt, line 1: expected the special token \[PAD\], found ''"),
        ("[PAD]\n[UNK]\n", r"line 3: expected the special token \[START\], found the end of the file"),
        ("[PAD]\n[UNK]\n[END]\n[START]\n", r"line 3: .* found '\[END\]'"),
        (SPECIAL_LINES + "狗\n猫\n狗\n", r"line 7: '狗' is already on line 5"),
        (SPECIAL_LINES + "狗\n\n猫\n", r"line 6: '' is not a valid word"),
        (SPECIAL_LINES + "狗\n\n", r"line 6: '' is not a valid word"),
        (SPECIAL_LINES + "狗  猫\n", r"line 5: '狗  猫' is not a valid word"),
        (SPECIAL_LINES + "[UNK]\n", r"line 5: '\[UNK\]' is already on line 2"),
        (b"\xff\xff", r"vocabulary\.txt is not UTF-8"),
    ],
)
def test_invalid_vocabulary_files_are_rejected(tmp_path, content, message):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BundleError, match=message):
        Tokenizer.load(path, "zh")


def test_missing_vocabulary_file(tmp_path):
    with pytest.raises(BundleError, match=r"Cannot read the vocabulary .*vocabulary\.txt: No such file"):
        Tokenizer.load(tmp_path / "vocabulary.txt", "zh")


def test_an_invalid_vocabulary_is_rejected():
    with pytest.raises(ValueError, match=r"token 1: expected the special token \[PAD\]"):
        Tokenizer(["狗"], "zh")


@pytest.mark.slow
def test_vocabulary_of_flickr8k_cn(shared):
    table = read_corpus(shared / "data" / "flickr8k" / "flickr8kzhc.caption.txt")
    segmenter = Segmenter(TextConfig())
    words = {
        split: [segmenter.segment(text) for texts in captions_by_image(table, split).values() for text in texts]
        for split in ("train", "val")
    }
    vocabulary = build_vocabulary(words["train"], max_size=20_000, min_frequency=4)
    assert tuple(vocabulary) == Tokenizer.load(bundle_folder("flickr8k-zh") / "vocabulary.txt", "zh").vocabulary
    coverage = Tokenizer(vocabulary, "zh").coverage(words["val"])
    assert (coverage["captions"], coverage["longest_caption"]) == (5000, 13)
    assert coverage["oov_share"] == pytest.approx(0.0434, abs=1e-4)
