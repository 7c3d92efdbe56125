"""Marks that reject one caption of a row: lists of marks, and columns with the number of a caption."""

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.mark_values import is_mark, is_unread, rejection

DOG, CAT, GIRL, BAD = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞", "一张坏的图片"
EXPECTED = [("a.jpg", DOG), ("b.jpg", CAT), ("b.jpg", GIRL)]


def entries(make):
    """Entries of two images from a function of their captions and marks (1 rejects)."""
    return [make("a.jpg", [DOG, BAD], [0, 1]), make("b.jpg", [CAT, GIRL], [0, 0])]


def words(marks, good="ok", bad="rejected"):
    return [bad if mark else good for mark in marks]


def argilla(name, texts, marks):
    status = words(marks, "submitted", "discarded")
    responses = [{"value": text, "status": mark, "user_id": "u"} for text, mark in zip(texts, status, strict=True)]
    return {"id": "7", "fields": {"image": name}, "status": "completed", "responses": {"caption": responses}}


def argilla_1(name, texts, marks):
    status = words(marks, "submitted", "discarded")
    responses = [
        {"values": {"caption": {"value": text}}, "status": mark} for text, mark in zip(texts, status, strict=True)
    ]
    return {"fields": {"image": name}, "responses": responses}


CASES = {
    "parallel lists of Argilla": lambda name, texts, marks: {
        "image": name,
        "caption.responses": texts,
        "caption.responses.users": ["u1", "u2"],
        "caption.responses.status": words(marks, "submitted", "discarded"),
    },
    "Argilla": argilla,
    "Argilla 1": argilla_1,
    "a list of booleans": lambda name, texts, marks: {
        "image": name,
        "captions": texts,
        "is_rejected": list(map(bool, marks)),
    },
    "an object of lists": lambda name, texts, marks: {"image": name, "captions": {"text": texts, "rejected": marks}},
    "a list for several keys": lambda name, texts, marks: {
        "image": name,
        "caption_1": texts[0],
        "caption_2": texts[1],
        "status": words(marks),
    },
    "a status per key": lambda name, texts, marks: {
        "image": name,
        "caption_1": texts[0],
        "caption_1_status": words(marks)[0],
        "caption_2": texts[1],
        "caption_2_status": words(marks)[1],
    },
    "numbered marks": lambda name, texts, marks: {
        "image": name,
        "is_rejected2": marks[1],
        "is_rejected1": marks[0],
        "caption1": texts[0],
        "caption2": texts[1],
    },
    "attributes of annotations": lambda name, texts, marks: {
        "image": name,
        "annotations": [
            {"caption": text, "attributes": {"rejected": bool(mark)}} for text, mark in zip(texts, marks, strict=True)
        ],
    },
    "attributes of annotations of several types, as Datumaro has them": lambda name, texts, marks: {
        "image": {"path": name},
        "annotations": [
            {"id": 0, "type": "label", "attributes": {}, "label_id": 1},
            *(
                {"id": 1, "type": "caption", "attributes": {"rejected": bool(mark)}, "caption": text}
                for text, mark in zip(texts, marks, strict=True)
            ),
        ],
    },
    "Chinese numbers": lambda name, texts, marks: {
        "图片": name,
        "描述一": texts[0],
        "审核一": words(marks, "通过", "不通过")[0],
        "描述二": texts[1],
        "审核二": words(marks, "通过", "不通过")[1],
    },
}


@pytest.mark.parametrize("case", CASES)
def test_one_caption_of_several_is_left_out(write, case):
    table = read_corpus(write("x.json", entries(CASES[case])))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    left_out = [text for text in table.attrs["files"][0]["notes"] if text.startswith("captions marked as")]
    assert len(left_out) == 1 and table.attrs["files"][0]["notes"][left_out[0]] == 1
    kept = read_corpus(write("x.json", entries(CASES[case])), keep_rejected=True)
    assert list(kept["caption"]) == [DOG, BAD, CAT, GIRL]


def test_repeated_headers_and_lists_in_cells(write):
    text = f"image,caption,status,caption,status\na.jpg,{DOG},ok,{BAD},rejected\nb.jpg,{CAT},ok,{GIRL},ok\n"
    table = read_corpus(write("x.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    text = (
        f"""image,captions,status\na.jpg,"['{DOG}', '{BAD}']","['ok', 'rejected']"\nb.jpg,"['{CAT}', '{GIRL}']",[]\n"""
    )
    table = read_corpus(write("y.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED


@pytest.mark.parametrize("is_nested", [False, True])
def test_lists_of_marks_in_parquet(tmp_path, is_nested):
    captions, valid = [[DOG, BAD], [CAT, GIRL]], [[True, False], [True, True]]
    columns = {"image": ["a.jpg", "b.jpg"], "captions": captions, "valid": valid}
    if is_nested:
        pairs = zip(captions, valid, strict=True)
        columns = {"image": columns["image"], "captions": [{"raw": text, "is_valid": mark} for text, mark in pairs]}
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
    table = read_corpus(tmp_path / "x.parquet")
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED


def test_lists_of_another_length_are_reported(write):
    table = read_corpus(write("x.json", [{"image": "a.jpg", "captions": [DOG, CAT], "rejected": [1]}]))
    assert list(table["caption"]) == [DOG, CAT]
    note = "lists of 'rejected' whose length differs from that of the captions, not read"
    assert table.attrs["files"][0]["notes"] == {note: 1}


def test_missing_captions_in_lists_in_cells(write):
    text = f"""image,captions\na.jpg,"['{DOG}', nan]"\nb.jpg,"[""{CAT}"", null]"\nb.jpg,"['{GIRL}', None]"\n"""
    table = read_corpus(write("x.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    assert table.attrs["files"][0]["notes"] == {"lists written as text read as captions": 3}


REJECTING = {
    "审核状态": "驳回 已驳回 审核驳回 质检不合格 不合格：原因 退件 被退回修改 作廢 已作废 返工 待返工 未通过 没有通过 "
    "不予采纳 描述有误 打回重做 不符合要求 無效 NG fail 否 ×",
    "質檢結論": "否 不通過 不合格（太短） 駁回 退件",
    "审核意见": "不通过，描述太短 打回",
    "标注状态": "作廢 已删除",
    "status": "rejected Rejected:blurry FAILED deleted 作废 needs_rewrite need_revision Mismatch image-text_mismatch "
    "does_not_match_the_image changes_requested not_relevant 与图不符",
    "verdict": "needs_rewrite must_be_rewritten needs_re-annotation mismatched unmatched irrelevant hallucinated",
    "质检意见": "需修改 需要修改 待修改 请修改 需改写 需重新标注 与图不符 与图片不一致 图文不符 图文不匹配 "
    "描述与图片内容不符 图文无关 和图对不上 文不对题 描述不准确 與圖不符",
    "图文是否相符": "否 0 不相符",
    "是否匹配": "不匹配 否",
    "review_status": "no rejected not_approved needs-rework",
    "reviewer_decision": "reject",
    "质检是否通过": "否 不是 x 0 否（重复） false 未通过",
    "是否采用": "否",
    "qc_passed": "false 0 No",
    "is_match": "False",
    "是否需要返工": "是 1 需要返工",
    "是否不合格": "是",
    "was_rejected": "true",
    "备注": "作废 已作廢 质检不合格",
    "不合格原因": "不清晰 重复",
    "reject_reason": "unclear",
}
ACCEPTING = {
    "审核状态": "通过 合格 已审核 待审核 未审核 驳回后修改通过 未驳回 无误 OK 是",
    "质检结论": "合格 通过 是 1 0",
    "status": "ok done submitted no 0 否 match relevant rewritten revised needs_review needs_editing needs_work",
    "质检意见": "无需修改 不需要修改 已修改 修改后通过 建议修改 图文相符 与图一致 需复核 基本相符",
    "图文是否相符": "是 相符 1",
    "answer": "no bad fail",
    "是否通过": "是 1 √ 待定 通过",
    "是否作废": "否 未作废 正常 有效",
    "is_rejected": "false not-rejected ok",
    "备注": "错误：应为两只狗 请再确认 无",
    "是否使用滤镜": "否",
    "text": "作废",
}


@pytest.mark.parametrize("name", REJECTING)
def test_marks_that_reject(name):
    kept = [value for value in REJECTING[name].split() if not rejection(name, value.replace("_", " "))]
    assert kept == []


@pytest.mark.parametrize("name", ACCEPTING)
def test_marks_that_reject_nothing(name):
    rejected = [value for value in ACCEPTING[name].split() if rejection(name, value.replace("-", " "))]
    assert rejected == []


def test_names_of_marks_and_values_that_are_reported():
    names = (
        "是否正确",
        "審核結果",
        "是否通過",
        "qa_ok",
        "caption",
        "描述",
        "图片",
        "validity_score",
        "正面",
        "是否有人",
    )
    assert list(map(is_mark, names)) == [True] * 4 + [False] * 6
    assert is_unread("審核結果", "待审核") and is_unread("备注", "请再确认") and not is_unread("審核結果", "駁回")


def test_marks_of_taiwan_and_remarks_are_read(write):
    rows = f"a.jpg,{DOG},合格,\nb.jpg,{BAD},退件,\nb.jpg,{BAD},不合格：模糊,請再確認\n"
    rows += f"b.jpg,{CAT},合格,\nb.jpg,{BAD},合格,作廢\n"
    table = read_corpus(write("x.csv", f"檔名,說明,質檢結論,備註\n{rows}b.jpg,{GIRL},合格,很好\n"))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    notes = table.attrs["files"][0]["notes"]
    assert notes["captions marked as 不合格, left out"] == notes["captions marked as 作廢, left out"] == 1
    assert notes["values of '備註' that reject nothing, not read (很好)"] == 1


BETTER, WORSE = {"role": "assistant", "content": DOG}, {"role": "assistant", "content": BAD}
PREFERENCES = {
    "texts": {"question": "描述", "chosen": DOG, "rejected": BAD},
    "messages": {"prompt": [{"role": "user", "content": "描述图片"}], "chosen": [BETTER], "rejected": [WORSE]},
    "objects": {
        "conversations": [{"from": "human", "value": "描述图片"}],
        "chosen": {"from": "gpt", "value": DOG},
        "rejected": {"from": "gpt", "value": BAD},
    },
    "completions": {"prompt": "描述图片", "completion": DOG, "label": True},
}


@pytest.mark.parametrize("case", PREFERENCES)
def test_preferred_answers_are_read(write, case):
    entry = PREFERENCES[case]
    worse = {**entry, "completion": BAD, "label": False}
    entries = [{"image": "a.jpg", **entry}, {"image": "b.jpg", **entry}, *([worse] if "label" in entry else [])]
    entries = [{"image": "b.jpg", **entry} for entry in entries]
    table = read_corpus(write("x.json", entries))
    assert list(table["caption"]) == [DOG, DOG]
    if case == "objects":
        named = read_corpus(write("x.json", entries), caption_column=["rejected"])
        assert list(named["caption"]) == [BAD, BAD]


def test_attributes_of_annotations_of_coco(write):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    annotations = [
        {"id": number, "image_id": image, "caption": text, "attributes": {"rejected": text == BAD}}
        for number, (image, text) in enumerate([(1, DOG), (1, BAD), (2, CAT), (2, GIRL)])
    ]
    table = read_corpus(write("x.json", {"images": images, "annotations": annotations}))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    assert table.attrs["files"][0]["notes"]["captions marked as rejected, left out"] == 1


def test_annotations_of_other_types_are_counted_and_never_captions(write):
    """Datumaro's annotations; the second image has none of the type caption."""
    label, box = {"id": 0, "type": "label", "label_id": 1}, {"id": 1, "type": "bbox", "bbox": [0, 0, 5, 5]}
    items = [
        {
            "id": "a",
            "image": {"path": "a.jpg"},
            "annotations": [label, box, {"id": 2, "type": "caption", "caption": DOG}],
        },
        {"id": "b", "image": {"path": "b.jpg"}, "annotations": [label]},
    ]
    table = read_corpus(write("x.json", {"categories": {}, "items": items}))
    assert list(table["caption"]) == [DOG]
    notes = table.attrs["files"][0]["notes"]
    assert notes["annotations of other types than captions, not read (bbox, label)"] == 2
    assert [reason for _, _, reason in table.attrs["skipped"]] == ["no caption"]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("对吗", "对", "错"),
        ("校对", "对", "错"),
        ("correct?", "yes", "no"),
        ("对不对？", "√", "×"),
        ("_tainted", "false", "true"),
    ],
)
def test_verdicts_of_proof_readers_reject(write, column, good, bad):
    lines = f"image,caption,{column}\na.jpg,{DOG},{good}\nb.jpg,{CAT},{good}\nb.jpg,{BAD},{bad}\n"
    table = read_corpus(write("x.csv", lines))
    assert list(table.caption) == [DOG, CAT]
    assert any(text.endswith("left out") for text in table.attrs["files"][0]["notes"])


def test_every_column_that_is_not_read_is_named(write):
    others = [f"meta_{letter}" for letter in "abcdefghijklmnopqrst"]
    lines = f"image,caption,{','.join(others)}\n" + "".join(f"{name}.jpg,{DOG},{'1,' * 19}2\n" for name in "abc")
    (note,) = read_corpus(write("x.csv", lines)).attrs["files"][0]["notes"]
    assert note == f"columns not read ({', '.join(others)})"
