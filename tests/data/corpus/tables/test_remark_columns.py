"""Exports of translation tools have columns of remarks, of which captions in another column are told apart."""

import csv
import io

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ZH = ("两个衣着休闲的人在道路上交谈", "房间里有三个人在吃饭", "一个女人站在广告牌旁", "一个运动员走在运动场上")
EN = ("Two men are talking", "Three people eat", "A woman stands there", "A man walks on the field")
MOST = "lines without a caption, which are most of the file; caption_column (--caption-column) chooses another column"
CELLS = {
    "image": lambda row: f"{row:02d}.jpg",
    "zh": lambda row: f"{ZH[row % 4]}{row}",
    "en": lambda row: f"{EN[row % 4]} {row}",
    "few zh": lambda row: f"{ZH[row % 4]}{row}" if row % 10 == 0 else "",
    "some": lambda row: "这里是不是应该改一下" if row % 3 == 0 else "",
    "few": lambda row: "请核对" if row == 3 else "",
    "place": lambda row: f"captions/en.csv:{row}",
    "label": lambda row: ("dog", "cat", "bird")[row % 3],
    "name": lambda row: ("Zhang San", "Li Si", "Wang Wu")[row % 3],
    "": lambda row: "",
}
WEBLATE = "location,source,target,id,fuzzy,context,translator_comments,developer_comments"


@pytest.fixture
def read(tmp_path):
    """Reads a table of 20 rows with the given header and kinds of cells."""

    def read_table(header, kinds):
        text = io.StringIO()
        rows = [[CELLS[kind](row) for kind in kinds.split(",")] for row in range(20)]
        csv.writer(text).writerows([header.split(","), *rows])
        (tmp_path / "x.csv").write_text(text.getvalue(), encoding="utf-8")
        return read_corpus(tmp_path / "x.csv")

    return read_table


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        (WEBLATE, "place,en,zh,,,image,few,"),
        (WEBLATE, "place,en,zh,,,image,some,some"),
        ("Identifier,Source phrase,Translation,Context,Labels,Max. Length", "image,en,zh,few,,"),
        ("Identifier,Source String,Chinese Simplified,Context", "image,en,zh,few"),
        ("term,definition,context,reference,comment", "image,zh,few,,some"),
        ("term,translation,context,reference,comment", "image,zh,few,,some"),
        ("Key,Chinese,Comment", "image,zh,few"),
        ("file,target,comments", "image,zh,en"),
        ("image,原文,译文,备注", "image,en,zh,some"),
        ("image,comment,target", "image,zh,label"),
        ("image,caption_zh,caption", "image,few zh,zh"),
        ("image_name,comment_number,comment", "image,label,zh"),
    ],
)
def test_captions_beside_remarks(read, header, kinds):
    table = read(header, kinds)
    assert table["image"].tolist() == [f"{row:02d}.jpg" for row in range(20)]
    assert table["caption"].tolist() == [CELLS["zh"](row) for row in range(20)]
    assert MOST not in table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    ("header", "kinds"),
    [("image,target,translation", "image,zh,zh"), ("Key,English,Chinese,Comment", "image,en,zh,few")],
)
def test_two_filled_columns_ask(read, header, kinds):
    with pytest.raises(CorpusError, match=r"2 columns could be the caption: .*--caption-column"):
        read(header, kinds)


@pytest.mark.parametrize(
    ("header", "kinds"),
    [("image,comment,annotator", "image,few zh,name"), ("image,caption,title", "image,few zh,zh")],
)
def test_most_rows_without_a_caption_are_reported(read, header, kinds):
    table = read(header, kinds)
    assert len(table) == 2
    assert table.attrs["files"][0]["notes"][MOST] == 18


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("x.po", 'msgid ""\nmsgstr ""\n\n#: 1.jpg\nmsgid "a dog"\nmsgstr "一只狗"\n', "a PO file"),
        ("x.po", '# Chinese\nmsgctxt "1.jpg"\nmsgid "a dog"\nmsgstr "一只狗"\n', "a PO file"),
        ("x.xlf", '<?xml version="1.0"?>\n<xliff version="1.2"><file/></xliff>', "an XLIFF file"),
        ("x.tmx", '<?xml version="1.0"?>\n<tmx version="1.4"><body/></tmx>', "a TMX file"),
        ("x.xml", '<?xml version="1.0"?>\n<resources/>', "an XML file"),
        ("x.strings", '/* Photos */\n"1.jpg" = "一只狗";\n"2.jpg" = "两只猫";\n', "a .strings file"),
    ],
)
def test_files_of_translation_tools(write, name, text, kind):
    with pytest.raises(CorpusError, match=rf"{name} is {kind} .*CSV"):
        read_corpus(write(name, text))


UNITY = "Key,Id,Shared Comments,{}"


@pytest.mark.parametrize(
    ("header", "kinds", "column"),
    [
        (UNITY.format("Chinese (Simplified)(zh-Hans)"), "image,,zh,en", 3),
        (UNITY.format("English(en),English(en) Comments"), "image,,few zh,en,zh", 3),
        ("image,句子A,句子A备注", "image,zh,en", 1),
        ("image,Sentence A,Sentence A Notes", "image,en,zh", 1),
        ("image,image comment", "image,zh", 1),
        ("photo,object,object comment", "image,label,zh", 2),
    ],
)
def test_remarks_about_a_column(read, header, kinds, column):
    table = read(header, kinds)
    assert table["caption"].tolist() == [CELLS[kinds.split(",")[column]](row) for row in range(20)]


def test_languages_of_a_localization_table_are_the_candidates(read):
    header = UNITY.format("Chinese (Simplified)(zh-Hans),Chinese (Simplified)(zh-Hans) Comments,English(en)")
    message = r"2 columns could be the caption: Chinese \(Simplified\)\(zh-Hans\) .*, English\(en\) "
    with pytest.raises(CorpusError, match=message):
        read(header, "image,,en,zh,zh,en")
