"""Exported tables and texts with tabs, tags, escapes and Python's quotes: the right captions, and a note."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, jsonl, table

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

THREE = [*ONE, ("c.jpg", GIRL)]
ENGLISH = [("a.jpg", "a dog on the grass"), ("b.jpg", "two cats")]


def escape(text):
    return text.encode("unicode_escape").decode()


def percent(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


CASES = {
    # Tabs
    "quoted cells with line breaks": (
        "x.txt",
        f'图片\t描述\r\na.jpg\t"{DOG}，\n{GIRL}"\r\nb.jpg\t{CAT}\r\n'.encode("utf-16"),
        [("a.jpg", f"{DOG}，\n{GIRL}"), ("b.jpg", CAT)],
        "multi-line captions",
    ),
    "quoted cells beside stray quotes": (
        "x.tsv",
        f'image\tcaption\na.jpg\t"{DOG}\n\n{GIRL} ""x"""\nb.jpg\t"Stop" {CAT}\nc.jpg\t"{GIRL}\nd.jpg\t{DOG}"\n',
        [("a.jpg", f'{DOG}\n\n{GIRL} "x"'), ("b.jpg", f'"Stop" {CAT}'), ("c.jpg", f'"{GIRL}'), ("d.jpg", f'{DOG}"')],
        "multi-line captions",
    ),
    "quoted cells without a header": (
        "x.tsv",
        f'"{DOG}，\n和{CAT}，\n和{GIRL}"\ta.jpg\n"{CAT}"\tb.jpg\n{GIRL}\tc.jpg\n',
        [("a.jpg", f"{DOG}，\n和{CAT}，\n和{GIRL}"), ("b.jpg", f'"{CAT}"'), ("c.jpg", GIRL)],
        "multi-line captions",
    ),
    "a tab beats a comma": (
        "x.txt",
        "a dog runs, happily\ta.jpg\ntwo cats, asleep\tb.jpg\n",
        [("a.jpg", "a dog runs, happily"), ("b.jpg", "two cats, asleep")],
        "image names read from the column after the caption",
    ),
    "a tab before a URL beats a comma": (
        "x.tsv",
        "a dog runs, happily\thttps://x.org/a.jpg\ntwo cats, asleep\thttps://x.org/b.jpg\n",
        [("https://x.org/a.jpg", "a dog runs, happily"), ("https://x.org/b.jpg", "two cats, asleep")],
        "image names read from the column after the caption",
    ),
    "a bar beats a comma": (
        "x.txt",
        "a dog runs, happily|a.jpg\ntwo cats, asleep|b.jpg\n",
        [("a.jpg", "a dog runs, happily"), ("b.jpg", "two cats, asleep")],
        "columns separated by vertical bars",
    ),
    "arrows": ("x.txt", f"a.jpg -> {DOG}\nb.jpg → {CAT}\n", ONE, "separated by a space, colon, dash or arrow"),
    "dashes": ("x.txt", f"a.jpg - {DOG}\nb.jpg — {CAT}\n", ONE, "separated by a space, colon, dash or arrow"),
    "labels": (
        "x.csv",
        f"{table(f'图片描述：{DOG}', f'图片描述：{CAT}')}c.jpg,图片描述：{GIRL}\n",
        THREE,
        "captions that begin with '图片描述：', which is stripped",
    ),
    "unknown labels": (
        "x.csv",
        "image,caption\na.jpg,张三: one\nb.jpg,张三: two\nc.jpg,张三: three\n",
        [("a.jpg", "张三: one"), ("b.jpg", "张三: two"), ("c.jpg", "张三: three")],
        "captions that begin with '张三:', kept",
    ),
    # URLs and tags are no separators
    "URL": (
        "x.csv",
        table(f"{DOG} http://t.cn/A1", f"{CAT} https://t.cn/A2"),
        [("a.jpg", f"{DOG} http://t.cn/A1"), ("b.jpg", f"{CAT} https://t.cn/A2")],
        None,
    ),
    "URLs, some separated": ("x.csv", table(f"{DOG}//{GIRL}", f"{CAT}//{DOG}"), TWO, "separated by '//'"),
    "thoughts": (
        "x.csv",
        table(f"<think>图里有狗。</think>{DOG}", f"<think>猫？</think>\t{CAT}"),
        ONE,
        "captions after a model's reasoning (<think>), which is left out",
    ),
    "boxes": (
        "x.csv",
        table('"<ref>一只狗</ref><box>(12,34),(56,78)</box>在草地上跑"', '"<ref>两只猫</ref><box>(1,2)</box>在睡觉"'),
        ONE,
        "captions with a model's markup (such as <ref> and <box>), which is stripped",
    ),
    "phrases": (
        "x.csv",
        table("<phrase>a dog</phrase> on the grass", "<phrase>two cats</phrase><object><patch_index_0044></object>"),
        ENGLISH,
        "model's markup",
    ),
    "items": (
        "x.csv",
        table(f"<item>{DOG}</item><item>{GIRL}</item>", f"<item>{CAT}</item><item>{DOG}</item>"),
        TWO,
        "separated by '<p>'",
    ),
    "a paragraph": ("x.csv", table(f"<p>{DOG}</p>", f"<p>{CAT}</p>"), ONE, "markup"),
    # Part-of-speech tags
    "tags of LTP": (
        "x.txt",
        "a.jpg\t一只_m 狗_n 在_p 草地_n 上_f 跑_v\nb.jpg\t两只_m 猫_n 在_p 睡觉_v\n",
        ONE,
        "part-of-speech tags stripped",
    ),
    "tags in CSV": (
        "x.csv",
        table("一只/m 狗/n 在/p 草地/n 上/f 跑/v", "两只/m 猫/n 在/p 睡觉/v"),
        ONE,
        "part-of-speech tags stripped",
    ),
    # Escapes
    "bytes": ("x.csv", table("b'a dog on the grass'", "b'two cats'"), ENGLISH, "written as Python bytes"),
    "bytes of Chinese": ("x.csv", table(DOG.encode(), CAT.encode()), ONE, "written as Python bytes"),
    "code points": ("x.csv", table(escape(DOG), escape(CAT)), ONE, "captions with escapes (such as \\u4e00), decoded"),
    "percent signs": ("x.csv", table(percent(DOG), percent(CAT)), ONE, "captions with percent signs"),
    "carriage returns": (
        "x.csv",
        table(f"{DOG}_x000D_", f"_x000D_{CAT}"),
        ONE,
        "captions with escapes of a spreadsheet (such as _x000D_), decoded",
    ),
    "a real percent sign": (
        "x.csv",
        table("a sign says 50% off", "two cats"),
        [("a.jpg", "a sign says 50% off"), ("b.jpg", "two cats")],
        None,
    ),
    # Python instead of JSON
    "Python lines": (
        "x.txt",
        f"{{'image': 'a.jpg', 'caption': '{DOG}'}}\n{{'image': 'b.jpg', 'caption': '{CAT}', 'more': None}}\n",
        ONE,
        "written as Python instead of JSON",
    ),
    "JSON lines with commas": (
        "x.txt",
        f'{{"image": "a.jpg", "caption": "{DOG}"}},\n{{"image": "b.jpg", "caption": "{CAT}"}},\n',
        ONE,
        None,
    ),
    "Python list": (
        "x.txt",
        f"[{{'image': 'a.jpg', 'caption': '{DOG}'}}, {{'image': 'b.jpg', 'caption': '{CAT}'}}]",
        ONE,
        "written as Python instead of JSON",
    ),
    "Python map": ("x.json", f"{{'a.jpg': ['{DOG}'], 'b.jpg': ['{CAT}']}}", ONE, "written as Python instead of JSON"),
    # Lines of a table that are no data
    "header again": ("x.csv", f"{table(DOG, CAT)}image,caption\nc.jpg,{GIRL}\n", THREE, "headers in the middle"),
    "header in Chinese again": (
        "x.tsv",
        f"图片名\t描述\na.jpg\t{DOG}\nb.jpg\t{CAT}\n图片名\t描述\nc.jpg\t{GIRL}\n",
        THREE,
        "headers in the middle of the table",
    ),
    "header in another order": (
        "x.csv",
        f"{table(DOG, CAT)}caption,image\n{GIRL},c.jpg\n",
        THREE,
        "headers in the middle of the table, with its columns in another order, which are read by their names",
    ),
    "header with other names": ("x.csv", f"{table(DOG, CAT)}text,file_name\n{GIRL},c.jpg\n", THREE, "another order"),
    "a caption like a header": (
        "x.csv",
        f"image,caption\na.jpg,caption\nb.jpg,{CAT}\n",
        [("a.jpg", "caption"), ("b.jpg", CAT)],
        None,
    ),
    "total": (
        "x.csv",
        f"{table(DOG, CAT)}合计,3\n",
        ONE,
        "rows at the end that are totals (such as '合计,3'), left out",
    ),
    "grand total": ("x.tsv", f"image\tcaption\na.jpg\t{DOG}\nb.jpg\t{CAT}\nTotal:\t2\n", ONE, "totals"),
    "a number as a caption": (
        "x.csv",
        f"image,caption\na,{DOG}\nb,3\n",
        [("a", DOG), ("b", "3")],
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    assert_read(write, *CASES[name])


def test_a_line_about_the_file_is_no_entry(write, tmp_path):
    lines = jsonl(
        {"dataset": "x", "version": 1}, *({"image": f"{at}.jpg", "caption": f"{DOG}{at}"} for at in range(20))
    )
    write("photos/1.jpg", b"\xff")
    read = read_corpus(write("x.jsonl", lines), images=tmp_path / "photos")
    assert len(read) == 20 and [item[1] for item in read.attrs["skipped"]] == [1]


@pytest.mark.parametrize("text", ["{1: ['x'], 2: ['y']}", "{b'1': ['x'], b'2': ['y']}", "{1: ['x'], '2': ['y']}"])
def test_keys_of_python_become_text(write, text):
    read = read_corpus(write("x.json", text.replace("x", DOG).replace("y", CAT)))
    assert list(zip(read["image"], read["caption"], strict=True)) == [("1", DOG), ("2", CAT)]


@pytest.mark.parametrize("keys", ["None", "b'\\xff'", "1: ['x'], '1'"])
def test_keys_of_python_that_are_no_text_or_twice_the_same_are_rejected(write, keys):
    with pytest.raises(CorpusError, match="not valid JSON"):
        read_corpus(write("x.json", f"{{{keys}: ['{DOG}']}}"))


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        (["gb18030"] * 20 + ["utf-8"] * 20, "line 22: not GB18030; the line is UTF-8 and others are GB18030: save all"),
        (["gb18030", "utf-8"] * 20, "line 3: not GB18030; the line is UTF-8"),
        (["gb18030"] * 33 + ["utf-8"] * 7, "line 35: not GB18030; the line is UTF-8"),
        (["utf-8"] * 33 + ["gb18030"] * 7, r"line 35: not UTF-8 .*; fix the line, or name the encoding if all"),
        (["utf-8"] * 20 + ["big5"] * 20, "line 2: not BIG5; the line is UTF-8 and others are BIG5"),
    ],
)
def test_the_first_line_in_another_encoding_is_named(write, encodings, message):
    texts = ("一隻狗在草地上跑", "兩隻貓在睡覺", "桌子上有一盤水果", "男人騎自行車")  # some decode in both encodings
    lines = (f"{at}.jpg,{texts[at % 4]}\n".encode(name) for at, name in enumerate(encodings))
    with pytest.raises(CorpusError, match=f"x.csv, {message}"):
        read_corpus(write("x.csv", b"image,caption\n" + b"".join(lines)))


def test_few_lines_in_another_encoding_are_left_out(write):
    lines = [f"{at}.jpg,{DOG}{at}\n".encode("utf-8" if at == 30 else "gb18030") for at in range(40)]
    read = read_corpus(write("x.csv", b"image,caption\n" + b"".join(lines)))
    assert len(read) == 39 and [item[1:] for item in read.attrs["skipped"]] == [(32, "UTF-8 in a file in GB18030")]


def test_formulas_without_values(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")

    def read(*rows):
        book = openpyxl.Workbook()
        for row in (("image", "caption", "n"), *rows):
            book.active.append(row)
        book.save(tmp_path / "x.xlsx")
        return read_corpus(tmp_path / "x.xlsx")

    found = read(('=HYPERLINK("http://x/1","a.jpg")', f'="{DOG}"', "=1+1"), ("b.jpg", CAT, 1))
    assert list(zip(found["image"], found["caption"], strict=True)) == ONE
    assert 'captions in formulas (="..") read as their texts' in found.attrs["files"][0]["notes"]
    many = [(f"{at}.jpg", f"{DOG}{at}", at) for at in range(20)]
    found = read(*many, ("z.jpg", "=B2&B3", 1))
    assert len(found) == 20 and found.attrs["skipped"][0][1:] == (22, "a formula without a stored value")
    for row, message in (
        (("a.jpg", '=CONCATENATE("一",B9)', 1), r"row 3: the cell B3 is a formula without a stored value \(=CONC"),
        (('=C3&".jpg"', DOG, 1), r"row 3: the cell A3 is a formula .*; open the file in Excel or LibreOffice and save"),
        (('=_xlfn.DISPIMG("ID_1",1)', DOG, 1), r"row 3: the image is pasted into the workbook \(=_xlfn.DISPIMG"),
    ):
        with pytest.raises(CorpusError, match=message):
            read(("b.jpg", CAT, 1), row)


def test_formulas_in_csv(write):
    formula = write("x.csv", table("=A1&B1", '"=VLOOKUP(A1,B:C,2)"'))
    with pytest.raises(
        CorpusError, match=r"line 2: the caption is a formula without a value \(=A1&B1\); open the file"
    ):
        read_corpus(formula)
    read = read_corpus(write("x.csv", table(f'"=""{DOG}"""', f"=) {CAT}")))
    assert list(read["caption"]) == [DOG, f"=) {CAT}"]
