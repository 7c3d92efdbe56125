"""Tables with an image per column, headers below titles, and image names that other columns or files tell."""

import csv
import io
import json

import pytest

from caption_tx.data.corpus.readers.wide_tables import name_in_header
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"
ROWS = [("a.jpg", DOG), ("b.jpg", CAT), ("a.jpg", GIRL)]
WIDE = {
    "a survey": ("x.csv", f"提交时间,a.jpg,b.jpg\n9:00,{DOG},{CAT}\n9:10,{GIRL},\n", "提交时间"),
    "questions": (
        "x.csv",
        f'Timestamp,E-mail,"Describe: [a.jpg]",图片「b.jpg」的描述\n9:00,x@y.z,{DOG},{CAT}\n9:10,,{GIRL},\n',
        "Timestamp, E-mail",
    ),
    "tabs, below a title": ("x.tsv", f"调查结果\n人\ta.jpg\tb.jpg\n张\t{DOG}\t{CAT}\n李\t{GIRL}\t\n", "人"),
    "transposed": ("x.csv", f"图片,a.jpg,b.jpg\n描述1,{DOG},{CAT}\n描述2,{GIRL},\n作者,张三,李四\n", None),
    "only images": ("x.csv", f"a.jpg;b.jpg\n{DOG};{CAT}\n{GIRL};\n", None),
}


def pairs(table):
    return list(zip(table["image"], table["caption"], strict=True))


@pytest.mark.parametrize("case", WIDE)
def test_images_are_named_by_headers(write, case):
    name, text, unread = WIDE[case]
    table = read_corpus(write(name, text))
    notes = table.attrs["files"][0]["notes"]
    assert pairs(table) == ROWS
    assert notes["images named by the headers of columns, the cells below read as their captions"] == 2
    assert unread is None or f"columns not read ({unread})" in notes
    assert case != "transposed" or notes["rows not read (作者)"] == 1


def test_workbook_with_an_image_per_column(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    for row in (["time", "a.jpg", "b.jpg"], ["9:00", DOG, CAT], ["9:10", GIRL]):
        workbook.active.append(row)
    workbook.save(tmp_path / "x.xlsx")
    assert pairs(read_corpus(tmp_path / "x.xlsx")) == ROWS


def test_several_questions_ask_for_one(write):
    path = write("x.csv", f"描述 [a.jpg],评分 [a.jpg],描述 [b.jpg],评分 [b.jpg]\n{DOG},很好看,{CAT},一般\n")
    with pytest.raises(CorpusError, match=r"several questions .*caption_column \(--caption-column\) '描述'"):
        read_corpus(path)
    assert pairs(read_corpus(path, caption_column=["描述"])) == ROWS[:2]


def test_names_in_headers():
    headers = ("IMG 1 (2).jpg", "https://x.org/a.jpg", "问题：c.png", "caption", "photo.jpgs")
    assert [name_in_header(header) for header in headers] == [headers[0], headers[1], "c.png", None, None]
    assert name_in_header(f"{'x' * 2000}.jpg") is None, "such as an image in base64"


QUESTIONS = {
    "1、请用一句话描述图片 p01.png": "p01.png",
    "Q3. Describe this picture p03.png": "p03.png",
    "2.请描述图片p02.png的内容": "p02.png",
    "描述【小狗 1.png】": "1.png",
    "请描述 小狗.png": "小狗.png",
    "请柬1.jpg": "请柬1.jpg",
    "How to describe a dog.jpg": "How to describe a dog.jpg",
    "https://x.org/请描述/1.jpg": "https://x.org/请描述/1.jpg",
}


@pytest.mark.parametrize("header", QUESTIONS)
def test_names_in_questions(header):
    assert name_in_header(header) == QUESTIONS[header]


@pytest.mark.parametrize("number", ["1、", "Q1. ", "问题1：", ""])
def test_numbered_questions_are_reported(write, number):
    first, second = f"{number}请用一句话描述图片 a.jpg", f"{number.replace('1', '2')}请用一句话描述图片 b.jpg"
    table = read_corpus(write("x.csv", f"时间,{first},{second}\n9,{DOG},{CAT}\n9,{GIRL},\n"))
    assert pairs(table) == ROWS
    note = f"headers with more than a name, read as the image in them (such as {first!r})"
    assert table.attrs["files"][0]["notes"][note] == 2


def test_numbered_questions_of_several_kinds_ask_for_one(write):
    header = ",".join(
        f"{n}、{text} {name}"
        for n, (text, name) in enumerate(
            (("描述图片", "a.jpg"), ("有几个人", "a.jpg"), ("描述图片", "b.jpg"), ("有几个人", "b.jpg")), 1
        )
    )
    path = write("x.csv", f"{header}\n{DOG},很好看,{CAT},一般\n")
    with pytest.raises(CorpusError, match=r"several questions .*描述图片.*有几个人"):
        read_corpus(path)
    assert pairs(read_corpus(path, caption_column=["描述图片"])) == ROWS[:2]


def test_names_in_headers_are_those_of_files(write, photos):
    headers = ("Q1_1.jpg", "How to describe a dog 3.jpg")
    table = read_corpus(write("x.csv", f"{','.join(headers)}\n{DOG},{CAT}\n"), images=photos)
    assert pairs(table) == [("1.jpg", DOG), ("3.jpg", CAT)]


def test_header_below_titles_and_empty_rows(write):
    title = "标注结果（第3批）;;\r\n导出时间：2024-05-01;;\r\n;;\r\n共 2 张;;\r\n"
    table = read_corpus(write("x.csv", f"{title}图片;描述;标注员\r\na.jpg;{DOG};张\r\nb.jpg;{CAT};李\r\n合计;2;\r\n"))
    assert pairs(table) == ROWS[:2]
    assert table.attrs["files"][0]["notes"]["lines before the header, not read"] == 3


def test_numbers_name_images_that_have_files(write, photos):
    table = read_corpus(write("x.csv", f"编号,内容\n1,{DOG}\n2,{CAT}\n"), images=photos)
    assert pairs(table) == [("1.jpg", DOG), ("2.PNG", CAT)]
    assert "image names read from the column '编号', since they name files" in table.attrs["files"][0]["notes"]


def test_descriptions_of_google_takeout(write):
    files = {"1.jpg.json": DOG, "1.jpg(1).json": CAT, "2.jpg.supplemental-metadata.json": GIRL}
    for name, text in files.items():
        folder = write(f"photos/{name}", {"title": "1.jpg", "description": text, "creationTime": {"formatted": "9"}})
    for name in ("1.jpg", "1(1).jpg", "2.jpg"):
        write(f"photos/{name}", b"\xff")
    with pytest.raises(CorpusError, match=r"text_suffix \(--text-suffix\) \.json"):
        read_corpus(folder.parent)
    table = read_corpus(folder.parent, text_suffix=".json")
    assert sorted(pairs(table)) == [("1(1).jpg", CAT), ("1.jpg", DOG), ("2.jpg", GIRL)]


def test_upload_names_precede_ids(write, photos):
    entries = [{"captioning": f"/data/upload/1/ab12cd3{n}-{n}.jpg", "id": 4 - n, "caption": DOG} for n in (1, 3)]
    assert list(read_corpus(write("x.json", entries), images=photos)["image"]) == ["1.jpg", "3.jpg"]


SURVEY = ["Start Date", "End Date", "Response Type", "Progress", "Finished", "Response ID"]


def _survey_row(kind, answers):
    return ["2026-11-01 09:10", "2026-11-01 09:20", kind, "100", "True", "R_1abC0Xy", *answers]


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("questions", [2, 5])
def test_an_export_of_qualtrics(write, ids, questions):
    images = [f"park{index}.jpg" for index in range(questions)]
    answers = [[f"第{row}个人看到第{index}座公园" for index in range(questions)] for row in range(3)]
    lines = [[*SURVEY, *(f"请描述下面的图片。[{name}]" for name in images)]]
    if ids:
        codes = [f"Q{index}" for index in range(questions)]
        lines.insert(0, ["StartDate", "EndDate", "Status", "Progress", "Finished", "ResponseId", *codes])
        lines.append([json.dumps({"ImportId": name}) for name in [*SURVEY, *codes]])
    lines.append(_survey_row("Survey Preview", ["test"] * questions))
    lines += [_survey_row("IP Address", row) for row in answers]
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    table = read_corpus(write("x.csv", text.getvalue()))
    assert list(table["image"]) == images * 3
    assert list(table["caption"]) == [text for row in answers for text in row]
    notes = table.attrs["files"][0]["notes"]
    assert notes["previews and tests of the survey (such as Survey Preview), left out"] == 1
    assert f"columns not read ({', '.join(SURVEY)})" in notes


def test_an_export_of_qualtrics_without_images_in_its_questions(write):
    text = (
        'StartDate,Q1\nStart Date,请描述第一张图\n"{""ImportId"":""startDate""}","{""ImportId"":""Q1""}"\n2026,一只狗\n'
    )
    with pytest.raises(CorpusError, match=r"x\.csv is an export of Qualtrics whose questions name no images; write"):
        read_corpus(write("x.csv", text))


def test_names_in_a_header_of_usual_names_are_no_columns_of_images(write):
    text = "image,caption,像1.jpg吗,像2.jpg吗,a,b,c\n5.jpg,一只狗,像,不像,a,b,c\n6.jpg,两只猫,像,像,a,b,c\n"
    assert list(read_corpus(write("x.csv", text))["image"]) == ["5.jpg", "6.jpg"]
