"""Captions as annotation tools, models and programs export them: the right captions, and a note."""

import json
import re

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"
ONE = [("a.jpg", DOG), ("b.jpg", CAT)]
TWO = [("a.jpg", DOG), ("a.jpg", GIRL), ("b.jpg", CAT), ("b.jpg", DOG)]
THREE = [*ONE, ("c.jpg", GIRL)]
ENGLISH = [("a.jpg", "a dog on the grass"), ("b.jpg", "two cats")]


def jsonl(*entries):
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def table(first, second):
    return f"image,caption\na.jpg,{first}\nb.jpg,{second}\n"


def escape(text):
    return text.encode("unicode_escape").decode()


def percent(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


def batch(answer):
    """Lines of a file of answers, from a function of a caption."""
    return jsonl(*({"custom_id": name, **answer(caption)} for name, caption in ONE))


def below(wrap):
    """Lines of objects below which the captions are, from a function of the captions of an image."""
    return jsonl(
        *({"image": name, **wrap([text for other, text in TWO if other == name])} for name in ("a.jpg", "b.jpg"))
    )


INSIDE = "lists inside lists or objects"
NUMBERED = "captions below numbered keys ('annotator')"
BATCH = "answers of a model's batch read as captions, the names of its requests (custom_id) as image names"
CASES = {
    "words beside the text": (
        "x.csv",
        f'image,caption_str,caption_tokens\na.jpg,{DOG},"[""一只"", ""狗""]"\nb.jpg,{CAT},"[""两只"", ""猫""]"\n',
        ONE,
        "columns not read (caption_tokens)",
    ),
    # JSON that people wrote
    "comments and last commas": (
        "x.json",
        f'// by hand\n[{{"image": "a.jpg", "caption": "{DOG}",}}, /* b */\n{{"image": "b.jpg", "caption": "{CAT}"}},]',
        ONE,
        "JSON with comments or with commas after the last entry, both ignored",
    ),
    "captions beside COCO's images": (
        "x.json",
        {
            "images": [{"id": at, "file_name": name, "captions": [text]} for at, (name, text) in enumerate(ONE)],
            "annotations": [],
        },
        ONE,
        "keys not read (annotations)",
    ),
    "bold": ("x.csv", table(f"**{DOG}**", f"__{CAT}__"), ONE, "Markdown's emphasis"),
    # Lists one level deeper
    "object with a list": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": [DOG, GIRL]}},
            {"image": "b.jpg", "caption": {"text": [CAT, DOG]}},
        ),
        TWO,
        INSIDE,
    ),
    "list of objects with lists": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "captions": [{"text": [DOG, GIRL]}]},
            {"image": "b.jpg", "captions": [{"text": [CAT, DOG]}]},
        ),
        TWO,
        INSIDE,
    ),
    "list in a list": (
        "x.json",
        [{"image_id": "a.jpg", "caption": [[DOG, GIRL]]}, {"image_id": "b.jpg", "caption": [[CAT, DOG]]}],
        TWO,
        INSIDE,
    ),
    "list in a list, English": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": [["a dog runs", "a dog plays"]]},
            {"image": "b.jpg", "caption": [["two cats", "cats asleep"]]},
        ),
        [("a.jpg", "a dog runs"), ("a.jpg", "a dog plays"), ("b.jpg", "two cats"), ("b.jpg", "cats asleep")],
        INSIDE,
    ),
    "words in an object": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": ["一只", "狗", "在", "草地", "上", "跑"]}},
            {"image": "b.jpg", "caption": {"text": ["两只", "猫", "在", "睡觉"]}},
        ),
        ONE,
        "captions joined from lists of words",
    ),
    # Captions below a key per kind
    "one kind": ("x.jsonl", below(lambda texts: {"annotations": {"human": texts}}), TWO, "the key 'annotations.human'"),
    "one kind in a list": (
        "x.json",
        [{"image": name, "annotations": {"human": [caption]}} for name, caption in ONE],
        ONE,
        "captions read from the key 'annotations.human'",
    ),
    "one kind of objects": (
        "x.jsonl",
        below(lambda texts: {"captions": {"human": [{"text": text, "id": 1} for text in texts]}}),
        TWO,
        "captions read from the key 'captions.human'",
    ),
    "one kind by name": ("x.json", {name: {"human": [caption]} for name, caption in ONE}, ONE, "from the key 'human'"),
    "one kind, deeper": (
        "x.jsonl",
        below(lambda texts: {"data": {"labels": {"captions": {"human": texts}}}}),
        TWO,
        "captions read from the key 'data.labels.captions.human'",
    ),
    "one kind beside others": (
        "x.jsonl",
        below(lambda texts: {"meta": {"city": "上海", "width": 9}, "annotations": {"human": texts}}),
        TWO,
        "keys not read (meta.city, meta.width)",
    ),
    "a kind per object": (
        "x.jsonl",
        below(lambda texts: {"captions": [{"human": text} for text in texts]}),
        TWO,
        "captions read from the key 'human' of objects",
    ),
    "a kind in a cell": (
        "x.csv",
        "image,caption\n" + "".join(f'{name},"{{""human"": ""{caption}""}}"\n' for name, caption in ONE),
        ONE,
        "captions read from the key 'human' of objects",
    ),
    "annotators": (
        "x.jsonl",
        below(lambda texts: {"captions": dict(zip(("annotator_1", "annotator_2"), texts, strict=True))}),
        TWO,
        NUMBERED,
    ),
    "annotators by name": (
        "x.json",
        {"a.jpg": {"annotator_a": DOG, "annotator_b": GIRL}, "b.jpg": {"annotator_a": CAT, "annotator_b": DOG}},
        TWO,
        NUMBERED,
    ),
    "the image below a key": (
        "x.jsonl",
        jsonl(*({"data": {"file_name": name}, "result": {"caption": caption}} for name, caption in ONE)),
        ONE,
        "captions read from the key 'result.caption'",
    ),
    "two kinds of different images": (
        "x.json",
        {"human": {"a.jpg": [DOG]}, "machine": {"b.jpg": [CAT]}},
        ONE,
        "keys read (human, machine)",
    ),
    "VIA": (
        "x.json",
        {f"{name}99": {"filename": name, "size": 99, "file_attributes": {"caption": text}} for name, text in ONE},
        ONE,
        "keys not read (size)",
    ),
    "Label Studio": (
        "x.json",
        [
            {
                "id": 7,
                "data": {"image": name},
                "annotations": [
                    {"result": [{"value": {"text": [caption]}, "from_name": "zh", "type": "textarea"}]},
                    {"was_cancelled": True, "result": [{"value": {"text": ["坏"]}, "from_name": "zh"}]},
                ],
            }
            for name, caption in ONE
        ],
        ONE,
        "annotations of Label Studio that were cancelled, left out",
    ),
    "Labelbox": (
        "x.ndjson",
        jsonl(
            *(
                {
                    "data_row": {"id": "r", "external_id": name},
                    "projects": {
                        "p": {
                            "name": "我的项目",
                            "labels": [
                                {
                                    "annotations": {
                                        "classifications": [{"name": "描述", "text_answer": {"content": text}}]
                                    }
                                }
                            ],
                        }
                    },
                }
                for name, text in ONE
            )
        ),
        ONE,
        "captions read from the answers of Labelbox",
    ),
    "doccano": (
        "x.jsonl",
        jsonl(*({"id": 7, "filename": name, "label": [text], "Comments": []} for name, text in ONE)),
        ONE,
        "captions read from the key 'label'",
    ),
    "a question": (
        "x.jsonl",
        jsonl(*({"image": name, "prompt": "描述这张图片", "response": text} for name, text in THREE)),
        THREE,
        "keys not read (prompt)",
    ),
    "entries by number": (
        "x.json",
        {"0": {"file": "a.jpg", "zh": DOG, "n": "x"}, "1": {"file": "b.jpg", "zh": CAT, "n": "y"}},
        ONE,
        "captions read from the key 'zh'",
    ),
    "JSON twice": (
        "x.jsonl",
        "".join(json.dumps(json.dumps({"image": name, "caption": text})) + "\n" for name, text in ONE),
        ONE,
        "JSON inside a string of JSON, which is read",
    ),
    "a document twice": (
        "x.json",
        json.dumps(json.dumps([{"image": name, "caption": text} for name, text in ONE])),
        ONE,
        "JSON inside a string of JSON, which is read",
    ),
    "code blocks": (
        "x.jsonl",
        jsonl(*({"image": name, "caption": f'```json\n{{"caption": "{text}"}}\n```'} for name, text in ONE)),
        ONE,
        "captions in code blocks (```) of a model, which are read",
    ),
    "a code block": ("x.json", "```json\n" + json.dumps(dict(ONE)) + "\n```\n", ONE, "code block (```) in the file"),
    "attachments": (
        "x.csv",
        f"Attachment,Caption\na.jpg (https://x/1/2),{DOG}\nb.jpg (https://x/3),{CAT}\n",
        ONE,
        "(such as 'a.jpg (https://x/1/2)', read as 'a.jpg')",
    ),
    "HTML with attributes": (
        "x.csv",
        table(f'"<p class=""c"">{DOG}</p><!-- x -->"', f"<span id='a'>{CAT}</span>"),
        ONE,
        "captions with HTML comments or attributes, which are removed",
    ),
    "captions with lists of images": (
        "x.json",
        {DOG: ["a.jpg"], CAT: ["b.jpg", "c.jpg"]},
        [*ONE, ("c.jpg", CAT)],
        "captions mapped to image names, read the other way round",
    ),
    "names without captions": ("x.json", {"a.jpg": [DOG, None], "c.jpg": None, "d.jpg": [], "b.jpg": CAT}, ONE, None),
    # Several in one place
    "repeated keys": (
        "x.jsonl",
        f'{{"image":"a.jpg","caption":"{DOG}","caption":"{GIRL}"}}\n{{"image":"b.jpg","caption":["{CAT}"],"caption":"{DOG}"}}\n',
        TWO,
        "captions of keys that are repeated in one object, all of which are read",
    ),
    "repeated names": (
        "x.json",
        f'{{"a.jpg": "{DOG}", "b.jpg": "{CAT}", "a.jpg": "{GIRL}", "b.jpg": "{DOG}"}}',
        TWO,
        "captions of keys that are repeated in one object",
    ),
    "documents in a row": (
        "x.json",
        "".join(json.dumps({"image": name, "caption": text}, indent=2) + "\n" for name, text in ONE),
        ONE,
        "JSON documents one after the other in the file, read as one list",
    ),
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
    # Answers of models
    "OpenAI batch": (
        "x.jsonl",
        batch(
            lambda text: {
                "id": "b1",
                "response": {"body": {"object": "x", "choices": [{"message": {"role": "assistant", "content": text}}]}},
                "error": None,
            }
        )
        + jsonl({"custom_id": "c.jpg", "response": None, "error": {"message": "too large"}}),
        ONE,
        BATCH,
    ),
    "OpenAI batch of responses": (
        "x.jsonl",
        batch(
            lambda text: {
                "response": {
                    "body": {
                        "output": [
                            {"type": "reasoning", "summary": []},
                            {"type": "message", "content": [{"type": "output_text", "text": text}]},
                        ]
                    }
                }
            }
        ),
        ONE,
        BATCH,
    ),
    "several answers": (
        "x.jsonl",
        batch(
            lambda text: {
                "response": {
                    "body": {"choices": [{"message": {"content": text}}, {"message": {"content": f"{text}了"}}]}
                }
            }
        ),
        [(name, f"{text}{end}") for name, text in ONE for end in ("", "了")],
        "answers beyond the first of a model, read as captions too",
    ),
    "Anthropic batch": (
        "x.jsonl",
        batch(lambda text: {"result": {"message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}}),
        ONE,
        BATCH,
    ),
    "Gemini batch": (
        "x.jsonl",
        jsonl(
            *(
                {
                    "request": {"contents": [{"parts": [{"fileData": {"fileUri": name}}, {"text": "描述"}]}]},
                    "response": {"candidates": [{"content": {"parts": [{"text": caption}], "role": "model"}}]},
                }
                for name, caption in ONE
            )
        ),
        ONE,
        BATCH,
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
    # Objects by image name
    "URLs inside": (
        "x.json",
        {
            "a.jpg": {"captions": [DOG, GIRL], "url": "http://x/550"},
            "b.jpg": {"captions": [CAT, DOG], "url": "http://x/551"},
        },
        TWO,
        "image names read from the keys (such as 'a.jpg'), not from the entries ('http://x/550')",
    ),
    "one URL": (
        "x.json",
        {"a": {"caption": DOG, "url": "http://x"}, "b": {"caption": CAT, "url": "http://x"}},
        [("a", DOG), ("b", CAT)],
        "image names read from the keys",
    ),
    "ids inside": ("x.json", {"a.jpg": {"caption": DOG, "id": 9}, "b.jpg": {"caption": CAT, "id": 8}}, ONE, "the keys"),
    "file names inside": (
        "x.json",
        {"1": {"caption": DOG, "file_name": "a.jpg"}, "2": {"caption": CAT, "file_name": "b.jpg"}},
        ONE,
        None,
    ),
    "paths inside": (
        "x.json",
        {"a.jpg": {"caption": DOG, "path": "in/a.jpg"}, "b.jpg": {"caption": CAT, "path": "in/b.jpg"}},
        [("in/a.jpg", DOG), ("in/b.jpg", CAT)],
        "the entries",
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
    # Names
    "formulas": ("x.csv", 'image,caption\n"=""a.jpg""",' + DOG + '\n"=""b.jpg""",' + CAT + "\n", ONE, "in formulas"),
    "links": (
        "x.csv",
        'image,caption\n"=HYPERLINK(""http://x/a.jpg"",""a.jpg"")",' + DOG + '\n"=HYPERLINK(""b.jpg"")",' + CAT + "\n",
        ONE,
        "image names in formulas",
    ),
    "Markdown": ("x.csv", f"image,caption\n![](a.jpg),{DOG}\n![cat](b.jpg),{CAT}\n", ONE, "Markdown"),
    "apostrophes": ("x.csv", f"image,caption\n'a.jpg,{DOG}\n'b.jpg,{CAT}\n", ONE, "image names in"),
    "objects": (
        "x.csv",
        f"image,text\n\"{{'bytes': None, 'path': 'a.jpg'}}\",{DOG}\n\"{{'bytes': None, 'path': 'b.jpg'}}\",{CAT}\n",
        ONE,
        "read as 'a.jpg'",
    ),
    "messages": (
        "x.jsonl",
        jsonl(
            *(
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": name}}]},
                        {"role": "assistant", "content": caption},
                    ]
                }
                for name, caption in ONE
            )
        ),
        ONE,
        "captions read from the first answer of conversations",
    ),
    "files beside URLs": (
        "x.csv",
        f"dir,url,caption\na.jpg,https://x/1.jpg,{DOG}\nb.jpg,https://x/2.jpg,{CAT}\n",
        ONE,
        "image names read from the column 'dir'",
    ),
    # Marks
    "Prodigy": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": DOG, "answer": "accept"},
            {"image": "c.jpg", "caption": CAT, "answer": "reject"},
            {"image": "d.jpg", "caption": CAT, "answer": "ignore"},
            {"image": "b.jpg", "caption": CAT, "answer": "accept"},
        ),
        ONE,
        "captions marked as ignore, left out",
    ),
    "MTurk": (
        "x.csv",
        f"AssignmentStatus,Input.image_url,Answer.caption\nApproved,a.jpg,{DOG}\nRejected,c.jpg,{CAT}\n"
        f"Submitted,b.jpg,{CAT}\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "Toloka": (
        "x.tsv",
        f"INPUT:image\tOUTPUT:caption\tASSIGNMENT:status\na.jpg\t{DOG}\tAPPROVED\nc.jpg\t{CAT}\tREJECTED\n"
        f"b.jpg\t{CAT}\tAPPROVED\n",
        ONE,
        "captions marked as rejected, left out",
    ),
    "rejected captions of an image": (
        "x.json",
        [
            {"image": "a.jpg", "captions": [{"text": DOG, "rejected": False}, {"text": CAT, "rejected": True}]},
            {"image": "b.jpg", "captions": [{"text": CAT, "rejected": False}]},
            {"image": "c.jpg", "captions": [{"text": CAT, "rejected": True}]},
        ],
        ONE,
        "captions marked as rejected, left out",
    ),
    "a review in an object": (
        "x.jsonl",
        jsonl(
            *({"image": name, "caption": text, "review": {"result": "approved", "by": "li"}} for name, text in ONE),
            {"image": "c.jpg", "caption": DOG, "review": {"result": "rejected", "by": "li"}},
        ),
        ONE,
        "captions marked as rejected, left out",
    ),
    "a mark in an object": (
        "x.jsonl",
        jsonl(
            *({"image": name, "caption": text, "meta": {"is_good": True}} for name, text in ONE),
            {"image": "c.jpg", "caption": DOG, "meta": {"is_good": False}},
        ),
        ONE,
        "captions marked as not good, left out",
    ),
    "answers that are captions": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "answer": "a dog on the grass"}, {"image": "b.jpg", "answer": "two cats"}),
        ENGLISH,
        "captions read from the key 'answer'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    file, content, expected, note = CASES[name]
    read = read_corpus(write(file, content))
    notes = read.attrs["files"][0]["notes"]
    assert list(zip(read["image"], read["caption"], strict=True)) == expected
    assert any(note in text for text in notes) if note else not notes, notes
    assert all(notes.values()), notes


AMBIGUOUS = {
    "two kinds": (
        "x.jsonl",
        below(lambda texts: {"annotations": {"human": texts, "machine": texts[:1]}}),
        r"2 keys could be the caption: annotations.human .*; choose with --caption-column annotations.human or read",
        "human",
    ),
    "two kinds by name": (
        "x.json",
        {name: {"human": [caption], "machine": [GIRL]} for name, caption in TWO[::2]},
        r"2 keys could be the caption: human .*, machine .*; choose with --caption-column human or read",
        "human",
    ),
    "a title beside": (
        "x.jsonl",
        below(lambda texts: {"title": "动物的照片", "annotations": {"human": texts}}),
        r"2 keys could be the caption: title .*, annotations.human",
        "annotations.human",
    ),
    "two languages by number": (
        "x.json",
        {
            "0": {"file": "a.jpg", "zh": DOG, "en": "a dog runs on the grass"},
            "1": {"file": "b.jpg", "zh": CAT, "en": "two cats are asleep"},
        },
        r"2 keys could be the caption: zh .*, en .*; choose with --caption-column zh",
        "zh",
    ),
    "documents of two folders with an equal name": (
        "x.json",
        {"cats": {"a.jpg": [CAT], "c.jpg": [CAT]}, "dogs": {"a.jpg": [DOG], "b.jpg": [DOG]}},
        r"2 keys hold captions of the same images: cats, dogs; choose .* folders, .* such as 'cats/a\.jpg'",
        "dogs",
    ),
    "documents of two kinds": (
        "x.json",
        {"human": {"a.jpg": [DOG], "b.jpg": [CAT]}, "machine": {"a.jpg": [GIRL], "b.jpg": [GIRL]}},
        r"2 keys hold captions of the same images: human, machine; choose with --caption-column human or read several",
        "human",
    ),
    "COCO": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "caption": {"human": [DOG], "machine": [CAT]}}],
        },
        "2 keys could be the caption: caption.human .*, caption.machine",
        "human",
    ),
    "Label Studio": (
        "x.json",
        [
            {
                "data": {"image": "a.jpg"},
                "annotations": [{"result": [{"from_name": name, "value": {"text": [text]}} for name, text in texts]}],
            }
            for texts in [(("zh", DOG), ("en", "a dog"))] * 2
        ],
        r"2 keys could be the caption: zh.caption .*, en.caption",
        "zh",
    ),
    "several images in a row": (
        "x.csv",
        f"image_1,caption_1,image_2,caption_2\na.jpg,{DOG},b.jpg,{CAT}\n",
        r"the columns image_1, image_2 each name an image; write one image .* --image-column image_1 --caption-column",
        None,
    ),
    "SQL": (
        "x.sql",
        f"INSERT INTO c VALUES ('a.jpg', '{DOG}');\n",
        "a dump of an SQL database .export the table",
        None,
    ),
    "XML": ("x.xml", f"<?xml version='1.0'?>\n<c name='a.jpg'>{DOG}</c>\n", "an XML file .convert it to CSV", None),
    "UTF-32": ("x.csv", table(DOG, CAT).encode("utf-32"), r"text in UTF-32 \(save it as UTF-8\)", None),
    "requests": (
        "x.jsonl",
        batch(lambda text: {"url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": text}]}}),
        r"line 1: it is a request to a model, without an answer; pass the file of the answers",
        None,
    ),
}


def test_lists_of_different_lengths(write):
    with pytest.raises(CorpusError, match=r"its lists differ in length \('image' has 3, 'caption' has 2\)"):
        read_corpus(write("x.json", {"image": ["a.jpg", "b.jpg", "c.jpg"], "caption": [DOG, CAT]}))


def test_parquet_with_captions_below_keys(tmp_path):
    import pandas as pd

    def read(**columns):
        pd.DataFrame({"image": ["a.jpg", "b.jpg"], **columns}).to_parquet(tmp_path / "x.parquet")
        return read_corpus(tmp_path / "x.parquet", caption_column=["human"] if "captions" in columns else [])

    kinds = [{"human": [DOG, GIRL], "n": 1}, {"human": [CAT, DOG], "n": 2}]
    found = read(annotations=kinds)
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    assert found.attrs["files"][0]["notes"] == {
        "captions read from the column 'annotations.human'": 1,
        "columns not read (annotations.n)": 1,
    }
    found = read(captions=[kind | {"machine": [GIRL]} for kind in kinds])
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    with pytest.raises(CorpusError, match=r"2 columns could be the caption: captions.human .*, captions.machine"):
        read_corpus(tmp_path / "x.parquet")
    found = read(caption=[{"text": text, "lang": "zh"} for text in (DOG, CAT)])
    assert list(zip(found["image"], found["caption"], strict=True)) == ONE


def test_json_beside_images(write, tmp_path):
    for name, caption in ONE:
        write(f"d/{name}", b"\xff")
        write(f"d/{name.replace('.jpg', '.json')}", {"title": name, "caption": caption, "url": f"http://x/{name}"})
    with pytest.raises(CorpusError, match=r"2 images have a .json file .*; read them with --text-suffix .json"):
        read_corpus(tmp_path / "d")
    read = read_corpus(tmp_path / "d", text_suffix=".json")
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE


def test_text_files_in_a_folder_of_their_own(write, tmp_path):
    for name, caption in ONE:
        write(f"images/in/{name}", b"\xff")
        write(f"labels/in/{name.replace('.jpg', '.txt')}", f"{caption}\n")
    read = read_corpus(tmp_path / "labels", images=tmp_path / "images")
    assert list(zip(read["image"], read["caption"], strict=True)) == [(f"in/{name}", text) for name, text in ONE]
    assert "folders of text files only, read as captions of the images with their names" in str(read.attrs["files"])
    with pytest.raises(CorpusError, match="No caption file was recognized"):
        read_corpus(tmp_path / "labels")
    message = r"recognized in .*; pass .*/labels/in with --images .*/images/in\."
    for folder in ("images", "labels"):
        (tmp_path / folder / "in").rename(tmp_path / f"{folder}2")
        (tmp_path / folder).rmdir()
        (tmp_path / f"{folder}2").rename(tmp_path / folder)
    with pytest.raises(CorpusError, match=message.replace("/in", "")):
        read_corpus(tmp_path)


def test_a_line_about_the_file_is_no_entry(write, tmp_path):
    lines = jsonl(
        {"dataset": "x", "version": 1}, *({"image": f"{at}.jpg", "caption": f"{DOG}{at}"} for at in range(20))
    )
    write("photos/1.jpg", b"\xff")
    read = read_corpus(write("x.jsonl", lines), images=tmp_path / "photos")
    assert len(read) == 20 and [item[1] for item in read.attrs["skipped"]] == [1]


def test_releases_as_splits(write):
    names = ("train2017", "val_2014", "evaluation", "Test")
    read = read_corpus(write("x.csv", "image,caption,split\n" + "".join(f"{at}.jpg,{DOG},{at}\n" for at in names)))
    assert list(read["split"]) == ["train", "val", "val", "test"]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_several_kinds_of_captions_ask_for_one(write, name):
    file, content, message, column = AMBIGUOUS[name]
    path = write(file, content)
    with pytest.raises(CorpusError, match=message):
        read_corpus(path)
    if column:
        captions = set(read_corpus(path, caption_column=[column])["caption"])
        assert captions <= {DOG, CAT, GIRL} and DOG in captions and "动物的照片" not in captions


def test_answers_are_completed_from_the_files(write, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    answer = {"body": {"choices": [{"message": {"content": DOG}}]}}
    read = read_corpus(write("x.jsonl", jsonl({"custom_id": "a", "response": answer})), images=tmp_path)
    assert list(read["image"]) == ["a.jpg"]
    task = {"data": {"image": "/data/upload/3/0a1b2c3d-a.jpg"}, "annotations": []}
    task["annotations"] = [{"result": [{"value": {"text": [DOG]}, "from_name": "zh"}]}]
    read = read_corpus(write("x.json", [task]), images=tmp_path)
    assert list(read["image"]) == ["a.jpg"]
    assert "ignoring what Label Studio puts before a name" in str(read.attrs["files"])


def test_names_that_have_files_are_read(write, tmp_path):
    from PIL import Image

    for name in ("1.jpg", "2.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    entries = {"1": {"caption": DOG, "file_name": "x1.jpg"}, "2": {"caption": CAT, "file_name": "x2.jpg"}}
    read = read_corpus(write("x.json", entries), images=tmp_path)
    assert list(read["image"]) == ["1.jpg", "2.jpg"]
    assert "image names read from the keys (such as '1'), not from the entries ('x1.jpg')" in str(read.attrs["files"])


def test_one_name_for_all_captions_is_reported(write):
    read = read_corpus(write("x.csv", f"image,caption\nu,{DOG}\nu,{CAT}\nu,{GIRL}\n"))
    assert "captions, all of one image ('u'; " in str(read.attrs["files"])


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 1, "id": 7, "caption": "a dog on the grass", "caption_zh": DOG, "worker": 5},
        {"image_id": 2, "id": 8, "caption": "two cats", "caption_zh": CAT, "worker": 6},
    ],
}


def test_coco_with_captions_in_two_languages(write):
    path = write("x.json", COCO)
    with pytest.raises(CorpusError, match=r"2 keys could be the caption: caption .*caption_zh .*--caption-column"):
        read_corpus(path)
    for column, expected in (("caption_zh", ONE), ("caption", ENGLISH)):
        read = read_corpus(path, caption_column=[column])
        assert list(zip(read["image"], read["caption"], strict=True)) == expected
        assert "keys not read (" in str(read.attrs["files"]) and "worker" in str(read.attrs["files"])


def test_coco_names_keys_that_are_not_read(write):
    annotations = [{"image_id": 1, "caption": DOG, "mood": "x"}, {"image_id": 2, "text": CAT}]
    read = read_corpus(write("x.json", COCO | {"annotations": annotations}))
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert read.attrs["files"][0]["notes"] == {"keys not read (mood)": 1}


@pytest.mark.parametrize("text", ["{1: ['x'], 2: ['y']}", "{b'1': ['x'], b'2': ['y']}", "{1: ['x'], '2': ['y']}"])
def test_keys_of_python_become_text(write, text):
    read = read_corpus(write("x.json", text.replace("x", DOG).replace("y", CAT)))
    assert list(zip(read["image"], read["caption"], strict=True)) == [("1", DOG), ("2", CAT)]


@pytest.mark.parametrize("keys", ["None", "b'\\xff'", "1: ['x'], '1'"])
def test_keys_of_python_that_are_no_text_or_twice_the_same_are_rejected(write, keys):
    with pytest.raises(CorpusError, match="not valid JSON"):
        read_corpus(write("x.json", f"{{{keys}: ['{DOG}']}}"))


def test_objects_in_memory_are_no_names(write):
    text = f"image,text\n<PIL.JpegImageFile image mode=RGB size=9x7 at 0x7F0>,{DOG}\n"
    with pytest.raises(CorpusError, match="the image names are objects of Python"):
        read_corpus(write("x.csv", text))


def test_split_lists_beside_a_file(write):
    write("train.txt", "a.jpg\n")
    write("val.txt", "b\n")
    write("test.txt", "c.jpg\n")
    read = read_corpus(write("captions.csv", f"{table(DOG, CAT)}c.jpg,{GIRL}\n"))
    assert list(read["split"]) == ["train", "val", "test"]
    note = "images with the splits of the lists beside the file (train.txt, val.txt, test.txt)"
    assert read.attrs["files"][0]["notes"] == {note: 3}
    write("val.txt", "a.jpg\n")
    with pytest.raises(CorpusError, match=r"val.txt: a is also listed for train"):
        read_corpus(write("captions.csv", table(DOG, CAT)))


def test_lists_of_other_images_are_ignored(write):
    write("train.txt", "p.jpg\nq.jpg\n")
    assert not read_corpus(write("captions.csv", table(DOG, CAT))).attrs["files"][0]["notes"]


def test_metadata_files_name_the_images_beside_them(write, tmp_path):
    from PIL import Image

    for folder, caption in (("train", DOG), ("test", CAT)):
        write(f"d/{folder}/metadata.csv", f"file_name,text\n1.jpg,{caption}\n")
        Image.new("RGB", (8, 8)).save(tmp_path / "d" / folder / "1.jpg")
    read = read_corpus(tmp_path / "d", images=tmp_path / "d")
    found = set(zip(read["image"], read["caption"], read["split"], strict=True))
    assert found == {("train/1.jpg", DOG, "train"), ("test/1.jpg", CAT, "test")}
    with pytest.raises(CorpusError, match=r"both name 1.jpg, which would be one image; pass images"):
        read_corpus(tmp_path / "d")


def test_settings_beside_images_are_no_captions(write, tmp_path):
    from PIL import Image

    for name, caption in ONE:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        write(name.replace(".jpg", ".txt"), caption)
    write("config.json", {"lr": 1, "steps": 5})
    read = read_corpus(tmp_path)
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert read.attrs["files"][0]["notes"] == {"JSON files beside the images, not read (config.json)": 1}


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


URLS = (
    "id,url,caption",
    "photo_id,image_url,caption",
    "sku,url,caption",
    "photo,file_name,caption",
    "img_id,path,text",
)


@pytest.mark.parametrize("header", [*URLS, "sku,n,caption", None])
def test_the_column_that_names_files_is_read(write, tmp_path, header):
    for name in ("0a.jpg", "0b.jpg"):
        write(f"photos/{name}", b"\xff")
    rows = [(name, f"http://x/{name}9.jpg", caption) for name, (_, caption) in zip(("0a", "0b"), ONE, strict=True)]
    lines = "".join("\t".join(row) + "\n" for row in rows)
    path = write("x.tsv", lines if header is None else header.replace(",", "\t") + "\n" + lines)
    read = read_corpus(path, images=tmp_path / "photos")
    assert list(zip(read["image"], read["caption"], strict=True)) == [("0a.jpg", DOG), ("0b.jpg", CAT)]
    column = "1" if header is None else header.split(",")[0]
    assert f"image names read from the column '{column}'" in str(read.attrs["files"])
    if header in URLS[:2]:
        assert list(read_corpus(path)["image"]) == [url for _, url, _ in rows]


def note_of(read):
    [note] = read.attrs["files"][0]["notes"]
    return note


QUESTION = {"image_id": 1, "question_id": 10, "question": "What color is the dog?"}
ANSWER = {"image_id": 1, "question_id": 10, "multiple_choice_answer": "red", "answers": [{"answer": "red"}]}
REGION = {"region_id": 1, "image_id": 1, "x": 1, "y": 2, "width": 5, "height": 5, "phrase": "a dog"}
NO_CAPTIONS = {
    "questions": ({"info": {}, "questions": [QUESTION]}, "questions or answers about images (VQA), not captions"),
    "answers": ({"annotations": [ANSWER]}, "questions or answers about images (VQA), not captions"),
    "regions": ([{"id": 1, "regions": [REGION]}], "descriptions of regions (Visual Genome), not captions"),
    "images": (
        {"images": [{"id": 1, "file_name": "1.jpg", "width": 4}], "categories": []},
        "lists images without captions; read the file of their captions",
    ),
}


@pytest.mark.parametrize("name", NO_CAPTIONS)
def test_documents_without_captions(write, name):
    document, message = NO_CAPTIONS[name]
    with pytest.raises(CorpusError, match=re.escape(message)):
        read_corpus(write("x.json", document))


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("header", ["", "index\timage\tcaption\n"])
def test_wrapped_images_before_captions(write, header, quote):
    image = "\n".join(["/9j/" + "A" * 72] * 40)
    text = header + "".join(f"{at}\t{quote}{image}{quote}\t{DOG}\n" for at in range(3))
    with pytest.raises(CorpusError, match=r"images in base64|the image itself is in the file, in base64"):
        read_corpus(write("x.tsv", text))


def test_box_labels_are_no_captions(write, tmp_path):
    for at in range(3):
        write(f"d/{at}.jpg", b"\xff")
        write(f"d/{at}.txt", f"{at} 0.5 0.5 0.25 0.375\n1 0 1 .5 1e-05\n")
    with pytest.raises(CorpusError, match=r"box labels \(such as '0 0.5 0.5 0.25 0.375'\), not captions"):
        read_corpus(tmp_path / "d")


def test_text_files_that_are_not_read_are_counted(write, tmp_path):
    for name, caption in ONE:
        write(f"d/{name}", b"\xff")
        write(f"d/{name.replace('.jpg', '.txt')}", caption)
        write(f"d/{name.replace('.jpg', '_caption.txt')}", GIRL)
    lines = jsonl(*({"file_name": name, "text": f"{caption}了"} for name, caption in ONE))
    file, other = write("d/metadata.jsonl", lines), write("other.jsonl", lines)
    expected = (
        r"text files beside images, not read (2 .txt, 2 _caption.txt; pass the folder with --text-suffix .txt"
        " to read them instead)"
    )
    for source, images in ((tmp_path / "d", None), (file, None), (other, tmp_path / "d")):
        read = read_corpus(source, images=images)
        assert list(read["caption"]) == [f"{caption}了" for _, caption in ONE] and note_of(read) == expected
    both = read_corpus([file, f"{tmp_path / 'd'}:text_suffix=.txt"])
    assert len(both) == 4 and not any(item["notes"] for item in both.attrs["files"])
    file.unlink()
    read = read_corpus(tmp_path / "d")
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert note_of(read).startswith("text files beside images, not read (2 _caption.txt; --text-suffix _caption.txt")
    assert set(read_corpus(tmp_path / "d", text_suffix="_caption.txt")["caption"]) == {GIRL}
    for name, _ in ONE:
        (tmp_path / "d" / name.replace(".jpg", ".txt")).unlink()
    with pytest.raises(CorpusError, match=r"2 images have a _caption\.txt file .*--text-suffix _caption\.txt"):
        read_corpus(tmp_path / "d")


@pytest.mark.parametrize("suffix", [None, ".txt"])
def test_images_that_share_the_name_of_a_text_file(write, tmp_path, suffix):
    for name in ("a.jpg", "a.png"):
        write(f"d/{name}", b"\xff")
    write("d/a.txt", DOG)
    with pytest.raises(CorpusError, match=r"a\.txt: several images have the name of the text file \(1 text files in"):
        read_corpus(tmp_path / "d", text_suffix=suffix)
