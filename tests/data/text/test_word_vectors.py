"""Word vectors from text files: layouts, unusual words, malformed lines and the coverage summary."""

import gzip

import numpy as np
import pytest

from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.data.text.word_vectors import read_word_vectors
from caption_tx.errors import ConfigError

VOCABULARY = [*SPECIAL_TOKENS, "狗", "a", "草地", "unseen"]
LINES = ["狗 0.1 -2 3e-1", "the 1 1 1", "a 0.25 0.5 0.75", "草地 7 8 9"]
EXPECTED = {"狗": [0.1, -2, 0.3], "a": [0.25, 0.5, 0.75], "草地": [7, 8, 9]}


@pytest.fixture
def read(tmp_path):
    def read(lines, name="vectors.txt", opener=open):
        with opener(tmp_path / name, "wb") as file:
            file.write(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
        return read_word_vectors(tmp_path / name, VOCABULARY)

    return read


def check(vectors):
    assert vectors.embedding_dim == 3
    assert vectors.matrix.dtype == np.float32
    assert [word for word, known in zip(VOCABULARY, vectors.has_vector, strict=True) if known] == list(EXPECTED)
    for word, values in EXPECTED.items():
        np.testing.assert_array_equal(vectors.matrix[VOCABULARY.index(word)], np.array(values, np.float32))
    assert not vectors.matrix[~vectors.has_vector].any()


@pytest.mark.parametrize(
    "lines",
    [
        LINES,
        ["4 3", *LINES],
        ["4 3", *(f"{line} " for line in LINES)],
        [line.replace(" ", "\t") for line in LINES],
        [f"{line}\r" for line in LINES],
        ["\ufeff" + LINES[0], *LINES[1:]],
    ],
    ids=["glove", "word2vec", "fasttext", "tabs", "windows", "byte order mark"],
)
def test_all_layouts_give_the_same_vectors(read, lines):
    vectors = read(lines)
    check(vectors)
    assert (vectors.num_skipped, vectors.num_repeated) == (0, 0)


def test_gzip_is_detected_by_content(read):
    check(read(LINES, "vectors.vec", gzip.open))


def test_words_with_spaces_and_invalid_utf8_are_accepted(read):
    vectors = read([*LINES, ". . . 1 2 3", "at name@domain.com 1 2 3", b"\xff\xfe 1 2 3", b"a\xc2\xa0b 4 5 6"])
    check(vectors)
    assert vectors.num_skipped == 0


def test_malformed_lines_are_counted_and_the_first_is_named(read):
    vectors = read([*LINES, "狗 9 9 9", "short 1 2", "long 1 2 3 4", "", "a 5 nan 5", "unseen 1 x 3"])
    check(vectors)
    assert vectors.num_repeated == 1
    assert vectors.num_skipped == 5
    assert vectors.first_skipped == "line 6, 2 values instead of 3"


def test_summary_reports_coverage_of_words_and_occurrences(read):
    counts = np.array([0, 50, 0, 20, 6, 1, 2, 1])
    text = read([*LINES, "short 1 2"]).summary(counts)
    assert "dimension 3, covering 3 of 4 words (75.0%) and 90.0% of all word occurrences" in text
    assert "Skipped 1 malformed lines" in text and "line 5, 1 values" not in text


def test_special_tokens_get_no_vector(read):
    assert not read([*LINES, "[UNK] 1 2 3"]).has_vector[: len(SPECIAL_TOKENS)].any()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat 1 2 3", "dog 1 2 3"], "none of the 4 words.*language"),
        ([b"5 3", b"\x00\x93\x12 \x99\x81"], "none of the 4 words.*Skipped 1 malformed lines.*line 2"),
        ([], "contains no word vectors"),
    ],
)
def test_files_without_any_vocabulary_word_are_rejected(read, lines, message):
    with pytest.raises(ConfigError, match=f"vectors.txt.*{message}"):
        read(lines)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.txt"):
        read_word_vectors(tmp_path / "nowhere.txt", VOCABULARY)
    packed = gzip.compress("\n".join(LINES * 500).encode())
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ConfigError, match=r"cut\.gz"):
        read_word_vectors(tmp_path / "cut.gz", VOCABULARY)
