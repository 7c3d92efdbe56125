"""Columns that reject captions, where they can be misread."""

import pytest
from corpus_cases import CAT, DOG, ONE, assert_read, jsonl, notes, rows

from caption_tx.data.corpus.table import read_corpus

CASES = {
    "reject, jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "reviewStatus": "ACCEPT"},
            {"image": "b.jpg", "caption": CAT, "reviewStatus": "maybe"},
            {"image": "b.jpg", "caption": "坏", "reviewStatus": "REJECT"},
        ),
        ONE,
        "values of 'review_status' that reject nothing, not read (ACCEPT, maybe)",
    ),
    "审核": (
        "x.csv",
        f"图片,描述,审核\na.jpg,{DOG},通过\nb.jpg,{CAT},\nb.jpg,坏,不通过\nb.jpg,坏,废弃\n",
        ONE,
        "captions marked as 不通过, left out",
    ),
    "质检结论": (
        "x.csv",
        f"图片,标注文本,标注员,质检结论\na.jpg,{DOG},李强,合格\nb.jpg,{CAT},王芳,合格\nb.jpg,坏,李强,打回\n",
        ONE,
        "captions marked as 打回, left out",
    ),
    "chosen beside rejected captions and an empty cell": (
        "x.csv",
        f"image,chosen,rejected\na.jpg,{DOG},一只狗在月亮上跳舞\nb.jpg,{CAT},\n",
        ONE,
        "columns not read (rejected)",
    ),
    "Reject of MTurk": (
        "x.csv",
        f"Input.image_url,Answer.caption,AssignmentStatus,Approve,Reject\na.jpg,{DOG},Submitted,x,\n"
        f"b.jpg,{CAT},Submitted,x,\nb.jpg,坏,Submitted,,Not a description of the image\n",
        ONE,
        "captions marked as reject, left out",
    ),
    "discard": (
        "x.csv",
        f"image,caption,discard\na.jpg,{DOG},\nb.jpg,{CAT},\nb.jpg,坏,x\n",
        ONE,
        "captions marked as discard, left out",
    ),
    "status in COCO": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
            "annotations": [
                {"image_id": 1, "caption": DOG, "status": "ok"},
                {"image_id": 2, "caption": CAT, "status": "ok"},
                {"image_id": 2, "caption": "坏", "status": "FAILED"},
            ],
        },
        ONE,
        "captions marked as failed, left out",
    ),
    "是否合格": (
        "x.csv",
        f"图片,描述,是否合格\na.jpg,{DOG},是\nb.jpg,{CAT},是\nb.jpg,坏,否\n",
        ONE,
        "captions marked as not 合格, left out",
    ),
    "rejected, csv": (
        "x.csv",
        f"image,caption,is_rejected\na.jpg,{DOG},False\nb.jpg,{CAT},0\nb.jpg,坏,True\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "precanned, jsonl": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "is_precanned": False},
            {"image": "b.jpg", "caption": CAT, "is_precanned": False},
            {"image": "b.jpg", "caption": "坏", "is_precanned": True},
        ),
        ONE,
        "marked as precanned, left out",
    ),
    "status, csv": (
        "x.csv",
        f"image,caption,status\na.jpg,{DOG},ok\nb.jpg,{CAT},ok\nb.jpg,坏,rejected\n",
        ONE,
        "marked as rejected",
    ),
    "not valid, json": (
        "x.json",
        [
            {"image": "a.jpg", "caption": DOG, "valid": 1},
            {"image": "b.jpg", "caption": CAT, "valid": 1},
            {"image": "b.jpg", "caption": "坏", "valid": 0},
        ],
        ONE,
        "marked as not valid",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_read_as_it_is_meant(write, case):
    assert_read(write, *CASES[case])


def test_rejected_captions_are_kept_on_request(write):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    captions = [(1, DOG, False), (2, CAT, True)]
    annotations = [{"image_id": image, "caption": text, "is_rejected": mark} for image, text, mark in captions]
    path = write("vizwiz.json", {"images": images, "annotations": annotations})
    table = read_corpus(path)
    assert rows(table) == ONE[:1]
    assert notes(table) == {"captions marked as rejected, left out": 1}
    assert [item[1:] for item in table.attrs["skipped"]] == [(2, "marked as rejected")]
    assert rows(read_corpus(path, keep_rejected=True)) == ONE
