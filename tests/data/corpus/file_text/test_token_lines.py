"""Files with a word per line, such as CoNLL-U."""

import pytest

from caption_tx.data.corpus.file_text.token_lines import token_head
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ENGLISH = ["a brown dog runs on the grass", "two children play at the beach", "a chef cuts a tomato"]
CHINESE = ["一只 黄狗 在 草地 上 奔跑", "两个 小孩 在 海边 堆 沙堡", "厨师 正在 切 西红柿"]
COMMENTS = {
    "key": "# image = NAME\n",
    "name": "# NAME\n",
    "colon": "#image_id: NAME\n",
    "universal": "# newdoc id = NAME\n# sent_id = 3\n# text = words of a sentence\n",
}
LINES = {
    "words": "WORD\n",
    "tagged": "WORD NN O\n",
    "tabs": "WORD\tNN\tO\n",
    "universal": "PLACE\tWORD\tWORD\tNOUN\t_\t_\t0\troot\t_\t_\n",
}


def _file(sentences, comment, line):
    text = ""
    for number, sentence in enumerate(sentences):
        text += comment.replace("NAME", f"{number}.jpg")
        for place, word in enumerate(sentence.split(), 1):
            text += line.replace("WORD", word).replace("PLACE", str(place))
        text += "\n"
    return text


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("sentences", [ENGLISH, CHINESE])
def test_words_under_comments_with_images_are_sentences(write, comment, line, sentences):
    table = read_corpus(write("x.conll", _file(sentences, COMMENTS[comment], LINES[line])))
    joined = [text if text.isascii() else text.replace(" ", "") for text in sentences]
    assert table["caption"].tolist() == joined and table["image"].tolist() == ["0.jpg", "1.jpg", "2.jpg"]
    assert set(table.attrs["files"][0]["notes"].values()) == {3}


def test_an_image_has_several_sentences_and_ranges_are_left_out(write):
    text = _file(ENGLISH, "", LINES["universal"]).replace("1\ta\t", "1-2\tabrown\t_\n1\ta\t", 1)
    text = f"# image = 0.jpg\n{text}# image = 1.jpg\n1\tit\tit\n2\tis\tis\n3\tred\tred\n"
    table = read_corpus(write("x.conllu", text))
    assert table["caption"].tolist() == [*ENGLISH, "it is red"]
    assert table["image"].tolist() == ["0.jpg"] * 3 + ["1.jpg"] and table["line"].tolist()[0] in (2, 3)


def test_sentences_without_images_are_named(write):
    with pytest.raises(
        CorpusError, match=r"a word per line \(CoNLL\) whose sentences name no images; .*# image = 1\.jpg"
    ):
        read_corpus(write("x.conllu", _file(ENGLISH, "# sent_id = 1\n", LINES["universal"])))


def test_comments_above_a_table_are_no_tokens(write):
    rows = "".join(f"{number}.jpg,{text}\n" for number, text in enumerate(ENGLISH))
    assert read_corpus(write("x.csv", f"# 0.jpg is the first\nimage,caption\n{rows}"))["caption"].tolist() == ENGLISH


@pytest.mark.parametrize(
    "captions", [["a dog runs", "it is brown", "a dog on grass"], ["一只黄狗在草地上", "小狗在跑", "狗在吃"]]
)
def test_captions_below_the_names_of_images_are_no_tokens(captions):
    assert token_head(["# 1.jpg", *captions, "", "# 2.jpg", *captions]) is None
