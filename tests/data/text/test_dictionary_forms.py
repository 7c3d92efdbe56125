"""User dictionaries of other programs and layouts: their entries, and notes about what was read differently."""

import io
import struct
import sys

import pytest
from user_dictionaries import read

from caption_tx.data.text.user_dictionary import dictionary_as_text, read_user_dictionary
from caption_tx.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("word,freq\n狗,5\n", "Line 1 'word,freq' is a header. Read as 'word,frequency,tag': line 2 '狗,5'."),
        ('["狗"]', "Read as JSON."),
        ("# a\n狗 # b\n", "Skipped as a comment: line 1 '# a' and 1 more."),
        ("#狗\n", "Read as an entry: line 1 '#狗'; a comment has a space after #."),
        ("iPhone 15 Pro\n狗 5\n", "Read as one entry: line 1 'iPhone 15 Pro'; 'word frequency tag' on the line "),
        ("狗 5 N\n", "Read as one entry: line 1 '狗 5 N'; 'word frequency tag' on the line "),
    ],
)
def test_other_layouts_are_reported(tmp_path, text, note):
    assert read(tmp_path, text)[1].startswith(note)


BOTH = [("红色T恤", None), ("草莓奶盖", None)]
FORMS = {
    "- 红色T恤\n- leap motion\n": ([("红色T恤", None), ("leap motion", None)], "without the marks of a list"),
    "1. 红色T恤\n2. 让·雷诺\n": ([("红色T恤", None), ("让·雷诺", None)], "without the numbers of a list"),
    '"红色T恤"\n“草莓奶盖”\n': ([("红色T恤", None), ("草莓奶盖", None)], "without quotes"),
    "红色T恤,leap motion,草莓奶盖\n": ([("红色T恤", None), ("leap motion", None), ("草莓奶盖", None)], "on one line"),
    "红色T恤、草莓奶盖": ([("红色T恤", None), ("草莓奶盖", None)], "as a list of words on one line"),
    "红色T恤/n\n让·雷诺/nr\n": ([("红色T恤", None), ("让·雷诺", None)], "as 'word/tag'"),
    "红色T恤|100|n\n草莓奶盖|50|n\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'word|frequency|tag'"),
    "100 红色T恤\n50 草莓奶盖\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'frequency word'"),
    "100,红色T恤\n50,草莓奶盖\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'frequency word'"),
    "红色T恤: 100\n草莓奶盖：50\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'word: frequency'"),
    "红色T恤 hong se t xu 100\n草莓奶盖 cao mei nai gai 50\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "without pinyin"),
    '{"word": "红色T恤", "freq": 9}\n{"word": "奶盖"}\n': ([("红色T恤", 9), ("奶盖", None)], "as JSON Lines"),
    '[{"word": "红色T恤", "freq": 9}, {"word": "奶盖"}]': ([("红色T恤", 9), ("奶盖", None)], "Read as JSON"),
    "红色T恤=红T恤\n草莓奶盖 => 奶盖\n": (
        [("红色T恤", None), ("红T恤", None), ("草莓奶盖", None), ("奶盖", None)],
        "as synonyms",
    ),
    "# x\n---\nname: mine\n...\n红色T恤\thong se t xu\t100\n奶盖\tnai gai\t5\n": (
        [("红色T恤", 100), ("奶盖", 5)],
        "header of a Rime dictionary: lines 2 to 4",
    ),
    ",word,count\n0,红色T恤,1200\n1,leap motion,30\n": (
        [("红色T恤", 1200), ("leap motion", 30)],
        "without the index of a table",
    ),
    # Some lines only
    "1. 红色T恤\n草莓奶盖\n": (BOTH, "without the numbers of a list: line 1 '1. 红色T恤'."),
    "红色T恤\n- 草莓奶盖\n": (BOTH, "without the marks of a list"),
    "红色T恤\n“草莓奶盖”\n": (BOTH, "without quotes"),
    "【红色T恤】\n《草莓奶盖》\n": (BOTH, "without brackets: line 1 '【红色T恤】' and 1 more."),
    "红色T恤/n\n草莓奶盖_nz\n": (BOTH, "as 'word/tag'"),
    "红色T恤 n 100\n草莓奶盖 5\n": ([("红色T恤", 100), ("草莓奶盖", 5)], "as 'word tag frequency'"),
    "红色T恤。\n草莓奶盖；\n": (BOTH, "without the signs at the end"),
    "**红色T恤**\n草莓奶盖<br>\n": (BOTH, "without HTML tags"),
    "｜红色T恤《シャツ》\n草莓奶盖[いちご]\n": (
        BOTH,
        "without readings in brackets (ruby): line 1 '｜红色T恤《シャツ》' and 1 more.",
    ),
    "红色T恤{シャツ} 100\n草莓奶盖\n": ([("红色T恤", 100), BOTH[1]], "without readings in brackets (ruby)"),
    "1. “红色T恤”\n2. “草莓奶盖”\n": (BOTH, "without quotes"),
    # Text beside the words
    "红色T恤：一种衣服\n草莓奶盖：一种饮料\n": (BOTH, "without the text after the colon"),
    "红色T恤（衣服）\n草莓奶盖（饮料）\n": (BOTH, "without the text in parentheses"),
    "红色T恤#衣服\n草莓奶盖#饮料\n": (BOTH, "without the text after #"),
    "红色T恤 100 n 好\n草莓奶盖 5 n 甜\n": ([("红色T恤", 100), ("草莓奶盖", 5)], "without the text after the tag"),
    "红色T恤\tuserDefine\t9\n草莓奶盖\tuserDefine\t9\n": ([("红色T恤", 9), ("草莓奶盖", 9)], "without column 2 (text)"),
    "草莓奶盖 caomeinaigai\n红鞋 hongxie\n": ([("草莓奶盖", None), ("红鞋", None)], "without pinyin"),
    "'cao'mei'nai'gai 草莓奶盖\n'hong'xie 红鞋\n": ([("草莓奶盖", None), ("红鞋", None)], "without pinyin"),
    "草莓奶盖 vip\n红鞋 store\n": ([("草莓奶盖", None), ("红鞋 store", None)], "with a part-of-speech tag: line 1 '草"),
    # Lists and tables
    "红色T恤,草莓奶盖\n雪花酥、螺蛳粉\n": (
        [*BOTH, ("雪花酥", None), ("螺蛳粉", None)],
        "as a list of words on one line",
    ),
    "红色T恤,服装\n草莓奶盖,饮料\n雪花酥,饮料\n红鞋,服装\n": (
        [*BOTH, ("雪花酥", None), ("红鞋", None)],
        "without column 2 (categories)",
    ),
    "类别,词,备注\n衣服,红色T恤,x\n饮料,草莓奶盖,\n": (BOTH, "in its column '词', the columns 类别, 备注 are not read"),
    "id,word,freq\n1,红色T恤,9\n2,草莓奶盖,8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "in its column 'word'"),
    "| 词 | 词频 |\n|---|---|\n| 红色T恤 | 9 |\n| 草莓奶盖 | 8 |\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "is a header"),
    "红色T恤，１００\n草莓奶盖，５０\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "Read as 'word,frequency,tag'"),
    "词语\n红色T恤\n草莓奶盖\n": (BOTH, "Line 1 '词语' is a header."),
    "word\nleap motion\n": ([("word", None), ("leap motion", None)], "'word' is read as an entry; remove it if it is"),
    "中文名\n红色T恤\n草莓奶盖\n": (BOTH, "Line 1 '中文名' is a header."),
    "序号,中文名,学名,别名\n1,红色T恤,Vestis rubra,红衣、红衫\n2,草莓奶盖,Lac fragum,\n": (
        BOTH,
        "the words are in its column '中文名', the columns 序号, 学名, 别名 are not read.",
    ),
    "name,中文名称（简体）\nred shirt,红色T恤\nmilk,草莓奶盖\n": (BOTH, "in its column '中文名称（简体）'"),
    "species,latin\nred panda,Ailurus\nibex,Capra\n": (
        [("red panda", None), ("ibex", None)],
        "in its column 'species', the columns latin are not read",
    ),
    # Python and JSON
    "['红色T恤', '草莓奶盖']": (BOTH, "Read as Python."),
    "words = {'红色T恤': 9, '草莓奶盖': 8}": ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as Python."),
    "('红色T恤', 9)\n('草莓奶盖', 8)\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "as pairs of a word and its frequency"),
    'jieba.add_word("红色T恤")\njieba.add_word("草莓奶盖", freq=8)\n': (
        [BOTH[0], ("草莓奶盖", 8)],
        "as calls of add_word",
    ),
    '{"衣服": ["红色T恤"], "饮料": ["草莓奶盖"]}': (BOTH, "with the words below its keys (衣服, 饮料)"),
    '[["红色T恤", 9], ["草莓奶盖", 8]]': ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as JSON."),
    '{"红色T恤": {"freq": 9}, "草莓奶盖": {"freq": 8}}': ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as JSON."),
    # Columns and layouts of other tools
    "Aa01A01= 红色T恤 草莓奶盖\nAa01A02@ 雪花酥\nAa01A03# 红鞋 T恤\n": (
        [*BOTH, ("雪花酥", None), ("红鞋", None), ("T恤", None)],
        "as a thesaurus, the words after each code: line 1 'Aa01A01= 红色T恤 草莓奶盖'.",
    ),
    "Aa01=红色T恤,草莓奶盖\nAa02=雪花酥\n": ([*BOTH, ("雪花酥", None)], "as a thesaurus"),
    "0001 红色T恤 草莓奶盖\n0002 雪花酥\n": ([*BOTH, ("雪花酥", None)], "on one line, without the code before them"),
    "衣服：红色T恤、红鞋\n饮料：草莓奶盖、雪花酥\n": (
        [("红色T恤", None), ("红鞋", None), ("草莓奶盖", None), ("雪花酥", None)],
        "without the category before the colon",
    ),
    "1 红色T恤 9\n2 草莓奶盖 8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "without column 1 (numbers of rows)"),
    "W01,红色T恤,9,n\nW02,草莓奶盖,8,n\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "without column 1 (codes), 4 (tags)"),
    "红色T恤\ta red T-shirt\n草莓奶盖\tstrawberry tea\n": (BOTH, "Read from column 1 of lines such as line 1"),
    "红色T恤 0.5\n草莓奶盖 -1\n": (BOTH, "without column 2 (scores)"),
    "红色T恤\t9\n草莓奶盖\t0\n": ([("红色T恤", 9), ("草莓奶盖", None)], "A frequency of 0 counts as none."),
    "2 3\n红色T恤 0.1 0.2 1\n草莓奶盖 0.2 0 -1e-3\n": (BOTH, "Skipped as the size of word vectors: line 1 '2 3'."),
    "名词,热度\n红色T恤,9\n草莓奶盖,8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "Line 1 '名词,热度' is a header."),
    "紅衣\t红衣\n貓熊\t猫熊 熊猫\n": (
        [("紅衣", None), ("红衣", None), ("貓熊", None), ("猫熊", None), ("熊猫", None)],
        "Read from columns 1, 2 of",
    ),
    "#! v=1\n紅衣 红衣 [hong2 yi1] /red/A|B/\nT恤 T恤 [T xu4] /T-shirt/\n": (
        [("紅衣", None), ("红衣", None), ("T恤", None)],
        "as CC-CEDICT or EDICT, without pinyin and glosses: line 2",
    ),
    "NO.=1\nW_C=红色T恤\nG_C=N\nNO.=2\nW_C=草莓奶盖\nE_C=\n": (BOTH, "as HowNet"),
    "hsx,1=红色T恤\ncm,2=草莓奶盖\n": (BOTH, "as phrases of an input method"),
    "红鞋=hong2 xie2\n草莓奶盖=caomeinaigai\n": (
        [("红鞋", None), BOTH[1]],
        "without pinyin: line 1 '红鞋=hong2 xie2'.",
    ),
    "红鞋,hóng xié,9\n女鞋 [nǚ xié]\n": ([("红鞋", 9), ("女鞋", None)], "without pinyin"),
    "hongxie=红鞋 洪鞋\ncao'mei,草莓\n": ([("红鞋", None), ("洪鞋", None), ("草莓", None)], "without pinyin"),
    "红hong鞋xie\n草cao莓mei\n": ([("红鞋", None), ("草莓", None)], "without pinyin"),
    "红鞋=red\n草莓=berry\n": (
        [("红鞋", None), ("red", None), ("草莓", None), ("berry", None)],
        "as synonyms, each of which is an entry",
    ),
    "红色T恤,T恤 => 红T恤\n草莓奶盖 => 奶盖\n": (
        [BOTH[0], ("T恤", None), ("红T恤", None), BOTH[1], ("奶盖", None)],
        "as synonyms",
    ),
    "红色T恤/草莓奶盖\n长裤——短裤\n": ([("红色T恤", None), ("草莓奶盖", None), ("长裤", None), ("短裤", None)], "list"),
    "红色T恤 草莓奶盖\n雪花酥　红鞋\n": ([*BOTH, ("雪花酥", None), ("红鞋", None)], "as a list of words on one line"),
    "红色T恤 草莓奶盖 雪花酥": ([*BOTH, ("雪花酥", None)], "as a list of words on one line"),
    "①红色T恤\n②草莓奶盖\n": (BOTH, "without the numbers of a list"),
    "一、红色T恤\n二、草莓奶盖\n": (BOTH, "without the numbers of a list"),
    "; clothes\n红色T恤 #衣服\n-- x\n% y\n/* z */\n草莓奶盖//饮料\n": (
        BOTH,
        "Skipped as a comment: line 1 '; clothes' and 5",
    ),
    "红鞋=ban can hen\n草莓=pan men\n": (  # words, which only look like pinyin
        [("红鞋", None), ("ban can hen", None), ("草莓", None), ("pan men", None)],
        "as synonyms",
    ),
    "北 京\n上 海\n": ([("北 京", None), ("上 海", None)], None),
    "mp3 播放器\nmp4 播放器\n": ([("mp3 播放器", None), ("mp4 播放器", None)], None),
    "7 up\n红色T恤\n": ([("7 up", None), ("红色T恤", None)], None),
}


@pytest.mark.parametrize("text", FORMS)
def test_other_forms_of_dictionaries(tmp_path, text):
    expected, note = FORMS[text]
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    dictionary = read_user_dictionary(path)
    assert [(entry.word, entry.frequency) for entry in dictionary.entries] == expected
    assert any(note in text for text in dictionary.notes) if note else not dictionary.notes, dictionary.notes


def test_entries_with_signs_are_counted_apart(segmenter):
    entries = "红色T恤 草莓奶盖\n100 雪花酥\nleap motion\nC/C++\n让·雷诺\nПривет мир\nL'Oréal\n100%\n红色T恤（衣服）\n"
    report = segmenter(entries).dictionary_report()
    assert report.to_text().endswith(
        "words.txt: 6 of 9 entries are kept whole; only with their signs and spaces: line 1 '红色T恤 草莓奶盖', "
        "line 2 '100 雪花酥', line 9 '红色T恤（衣服）'."
    )
    assert [item["line"] for item in report.to_dict()["with_signs"]] == [1, 2, 9]
    assert report.not_kept == ()
    lines = segmenter("red 红色T恤\nmilk 草莓奶盖\n狗\n").dictionary_report().to_text()
    assert "1 of 3 entries are kept whole; only with their signs and spaces: line 1" in lines
    assert lines.endswith("Most lines are no single words: write one word per line, 'word frequency tag'.")
    again = segmenter("红色T恤 5\n草莓奶盖\n红色T恤 7\n").dictionary_report().to_text()
    assert again.endswith("Given again with another frequency, of which the first counts: line 3 '红色T恤'.")


def scel(*groups):
    """A cell dictionary of Sogou: groups of words that sound alike."""

    def text(value):
        data = value.encode("utf-16-le")
        return struct.pack("<H", len(data)) + data

    data = b"\x40\x15\x00\x00DCS\x01\x01\x00\x00\x00".ljust(0x124, b"\0") + struct.pack("<I", sum(map(len, groups)))
    data = data.ljust(0x130, b"\0") + "我的词库".encode("utf-16-le")
    data = (
        data.ljust(0x1540, b"\0")
        + struct.pack("<HH", 2, 0)
        + b"".join(struct.pack("<H", index) + text(syllable) for index, syllable in enumerate(("hong", "cao")))
    )
    for words in groups:
        data += struct.pack("<HHHH", len(words), 4, 0, 1)
        data += b"".join(text(word) + struct.pack("<HHII", 10, 7, 0, 0) for word in words)
    return data + "DELTBL".encode("utf-16-le") + bytes(9)


def workbook(*sheets):
    """A workbook with a sheet per list of rows."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


WORDS = ["红色t恤", "草莓奶盖"]
BINARY = {
    "scel": (lambda: scel(["红色t恤", "草莓奶盖"], ["leap motion"]), [*WORDS, "leap motion"], "(SCEL): 3 of 3 entries"),
    "column": (lambda: workbook([["红色T恤"], ["草莓奶盖"]]), WORDS, "Read from column 1 of the sheet 'Sheet'."),
    "header": (
        lambda: workbook(
            [["序号", "词语", "词频", "备注"], [1, "红色T恤", 500.0, "x"], [2, "草莓奶盖", None, ""]], [["y"]]
        ),
        WORDS,
        "Read from column 2 (词语) and column 3 (词频), not from column 1, 4, of the sheet 'Sheet'. Sheets not",
    ),
    "frequencies": (lambda: workbook([["红色T恤", 500], ["草莓奶盖", 3]]), WORDS, "from column 1 and column 2 of the"),
    "numbers first": (lambda: workbook([[1, "红色T恤"], [2, "草莓奶盖"]]), WORDS, "column 2, not from column 1,"),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_dictionaries(segmenter, tmp_path, name):
    make, words, note = BINARY[name]
    custom = segmenter(make())
    report = custom.dictionary_report()
    assert (report.num_entries, report.not_kept) == (len(words), ())
    assert note in report.to_text()
    assert custom.segment(f"一件{words[0]}和{words[1]}") == ["一件", words[0], "和", words[1]]
    # Bundles contain the words as text, for which no optional package is needed.
    copy = tmp_path / "copy.txt"
    copy.write_bytes(dictionary_as_text(tmp_path / "words.txt"))
    entries = [read_user_dictionary(path).entries for path in (tmp_path / "words.txt", copy)]
    assert [[(entry.word, entry.frequency) for entry in found] for found in entries] == [
        [(entry.word, entry.frequency) for entry in entries[0]]
    ] * 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("words.scel", lambda: scel(WORDS)[:-40], "damaged cell dictionary of Sogou"),
        ("words.scel", lambda: scel(), "without words that can be read; convert it to text"),
        ("words.bdict", lambda: b"biptbdsw\0\0", r"of another kind \(\.bdict\); convert it to text .* imewlconverter"),
        ("words.xls", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is not .xlsx; save it as .xlsx"),
        ("words.xlsx", lambda: workbook([["红色T恤"]])[:-99], "a workbook that cannot be read; save it as CSV UTF-8"),
        ("words.xlsx", lambda: workbook([[]]), "a workbook without words"),
        ("words.xlsx", lambda: workbook([["词", "词频"], ["狗", 0]]), "line 2: expected 'word .frequency above 0."),
    ],
)
def test_binary_dictionaries_that_cannot_be_read(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content())
    with pytest.raises(ConfigError, match=f"{file}.*{message}"):
        read_user_dictionary(tmp_path / file)


def test_workbooks_need_openpyxl(tmp_path, monkeypatch):
    (tmp_path / "words.xlsx").write_bytes(workbook([["狗"]]))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r'pip install "caption_tx\[excel\]" to read it, or save it as CSV UTF-8'):
        read_user_dictionary(tmp_path / "words.xlsx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "# Google_Product_Taxonomy_Version: 2021-09-21\n1 - 动物/宠物用品\n3237 - 动物/宠物用品 > 活动物\n"
            "3 - 动物/宠物用品 > 宠物用品 > 鸟用品\n166 - 服饰与配饰\n5322 - 服饰与配饰 > 服装 > 运动服\n",
            "动物 宠物用品 活动物 鸟用品 服饰与配饰 服装 运动服",
        ),
        ("动物 > 活动物\n动物>鸟用品\n动物 › 鸟用品 › 鸟笼\n", "动物 活动物 鸟用品 鸟笼"),
        ("动物/宠物/鸟笼\n动物/宠物\n动物/家畜/奶牛\n", "动物 宠物 鸟笼 家畜 奶牛"),
        (
            "Pets > Live Animals\nPets > Bird Supplies\nPets > Bird Supplies > Cages\n",
            "Pets Live_Animals Bird_Supplies Cages",
        ),
        ("词/n\n狗/n\n猫/n\n", "词 狗 猫"),
    ],
)
def test_taxonomies(tmp_path, text, words):
    entries, notes = read(tmp_path, text)
    assert [word for word, _ in entries] == [word.replace("_", " ") for word in words.split()]
    assert ("as a taxonomy, each of whose levels is an entry" in notes) == ("n\n" not in text)
