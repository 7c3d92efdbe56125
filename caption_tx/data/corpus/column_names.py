"""Names of columns and JSON keys that caption files use, in English and Chinese.

All names are written as `normalize_name` returns them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from caption_tx.errors import CorpusError

_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")
_SEPARATORS = re.compile(r"[\s_\-./:#()\[\]]+")
_INDEX = re.compile(r"\$|\[[^\]]*\]")
_MAX_SHOWN, _MAX_LETTERS = 12, 200
_NUMBER = re.compile(r"\d+(?:st|nd|rd|th)?|[a-e]|one|two|three|four|five|first|second|third|fourth|fifth")
CHINESE_NUMBER = re.compile("(?:第?[一二三四五六七八九十]{1,2}[条句个]?)$")

SPLIT_NAMES = {
    "restval": "train",
    **{
        f"{word}{end}": split
        for split, words in (
            ("train", ("train", "training")),
            ("val", ("val", "valid", "validation", "dev", "eval", "evaluation")),
            ("test", ("test", "testing", "holdout", "hold-out", "hold_out", "heldout", "held-out", "held_out")),
        )
        for word in words
        for end in ("", "set", "_set", "-set", " set")
    },
    **{
        f"{word}{end}": split
        for split, words in (
            ("train", ("训练", "訓練")),
            ("val", ("验证", "驗證", "校验", "校驗", "开发", "開發")),
            ("test", ("测试", "測試")),
        )
        for word in words
        for end in ("", "集", "集合", "数据", "数据集", "數據", "數據集", "样本", "樣本")
    },
}
"""Split names found in files. `restval` is the part of COCO's validation images that is used for training."""

# fmt: off
IMAGE_WORDS = (
    "image", "filename", "file_name", "image_name", "image_id", "file", "img", "image_file", "image_filename",
    "image_file_name", "img_name", "img_file", "img_filename", "image_path", "img_path", "filepath", "file_path",
    "path", "image_ids", "images", "photo", "picture", "pic", "imageid", "imagename", "img_id", "imgid", "photo_id",
    "key", "attachment", "attachments",
    "图片", "图像", "照片", "图", "图片名", "图片名称", "图片文件", "图片文件名", "图片路径", "图像名", "图像名称",
    "图像文件名", "图像路径", "文件名", "文件名称", "文件", "路径", "图片id", "图片_id", "图像_id", "图片编号",
    "图片序号", "附件", "图片附件",
    "圖片", "圖像", "圖檔", "檔名", "檔案", "檔案名稱", "圖片名稱",
    "image_url", "img_url", "photo_url", "photo_image_url", "image_link", "url", "link", "src", "uri",
    "图片链接", "图片地址", "链接", "圖片網址",
)
"""Names for the image, the most certain first; those of URLs come last."""

CAPTION_WORDS = (
    "caption", "text", "comment", "description", "sentence", "desc",
    "描述", "说明", "句子", "文本", "文字", "字幕", "标注", "文案", "图说", "說明", "標註",
)
"""Names for the caption."""

WEAK_CAPTION_WORDS = (
    "sent", "cap", "narrative", "chosen", "completion", "completions",
    "title", "label", "content", "alt", "prompt", "answer", "response", "output", "target", "summary", "reference",
    "references", "annotation", "annotations", "conversation", "conversations", "messages",
    "token", "tokens", "words", "translation", "标题", "内容", "备注", "译文", "標題", "內容", "備註", "譯文",
)
"""Names for the caption that count only if no other column has a name for it."""

NOT_CAPTION_WORDS = (
    "id", "ids", "uid", "idx", "index", "num", "number", "count", "len", "length", "lang", "language", "source", "src",
    "type", "kind", "time", "date", "timestamp", "author", "user", "annotator", "worker", "score", "rating", "model",
    "version", "url", "link", "path", "file", "filename", "status", "state", "embedding", "hash", "pos", "bbox", "box",
    "license", "confidence", "entities", "prob", "probability", "similarity", "width", "height", "rejected",
    "precanned", "timed",
    "编号", "序号", "长度", "来源", "语言", "作者", "时间", "数量", "类型", "編號", "序號", "長度", "來源", "語言",
    "時間", "數量", "類型", "标注员", "标注人", "标注者", "标注状态", "標註員",
    "描述人", "描述者", "描述员", "撰写人", "编写人", "填写人", "录入人", "审核人", "校对人",
)
"""Words that make a column with a caption's name something about captions, such as caption_id."""

NOT_IMAGE_WORDS = (
    "width", "height", "size", "format", "mode", "count", "type", "hash", "md5", "sha256", "license", "date", "time",
    "number", "num", "embedding", "split", "source", "feature", "features",
)
"""Words that make a column with an image's name something about images, such as image_width."""

ANSWER_WORDS = ("chosen", "completion", "response", "output", "answer")
QUESTION_WORDS = ("prompt", "conversation", "conversations", "messages")
"""Names for a question, if another column has a name for its answer."""

TOKEN_ENDINGS = ("_token", "_tokens", "_tokenized", "_words", "_segmented", "分词")
"""Ends of names for the words of a caption, if another column has its text."""

SPLIT_WORDS = (
    "split", "subset", "partition", "set", "set_name", "phase", "fold", "usage", "数据集", "划分", "集合", "數據集",
)
"""Names for the split. The first three are certain; the others count only if all their values are splits."""

_SPLIT_PARTS = (
    "split", "splits", "subset", "partition", "phase", "fold", "usage", "dataset", "set", "part", "group", "mode",
    "purpose", "type", "划分", "子集", "集合", "分割", "拆分", "数据集", "用途", "用于", "类型", "类别", "分类", "分组",
    "分集", "劃分", "資料集", "數據集", "用於", "類型",
)  # fmt: skip
_YEAR = re.compile(r"[\W_]*(?:20)?\d\d$")

REJECTED_WHEN_TRUE = (
    "rejected", "precanned", "deleted", "spam", "invalid", "discarded", "discard", "reject", "reject_reason",
    "rejection_reason", "tainted", "is_rejected", "is_precanned", "is_deleted", "is_bad", "is_wrong", "is_ignored",
    "is_reject",
    "废弃", "作废", "已删除", "拒绝", "拒绝原因", "驳回原因", "打回原因", "退回原因", "不通过原因", "不合格原因",
)
REJECTED_WHEN_FALSE = ("is_valid", "valid", "is_usable", "usable", "is_approved", "approved", "accepted", "keep")
STATUS_WORDS = ("status", "state", "quality", "状态", "质量")
# fmt: on


@lru_cache(maxsize=4096)
def normalize_name(name: str) -> str:
    """A column name in lower case, its words joined by underscores.

    Example:
        >>> normalize_name(" captionZh（2）")
        'caption_zh_2'
    """
    name = _CAMEL_CASE.sub("_", unicodedata.normalize("NFKC", name).strip().strip("\"'"))
    return _SEPARATORS.sub("_", _LETTER_BEFORE_DIGIT.sub("_", name.casefold())).strip("_")


def without_numbers(name: str) -> str:
    """A normalized name without its numbers: "s" for "s1" and "s_2"; the name itself if it is only a number."""
    words = normalize_name(name).split("_")
    return "_".join(word for word in words if not _NUMBER.fullmatch(word)) or name


def numbers_in(name: str) -> tuple[str, ...]:
    """The numbers in a name.

    Example:
        >>> numbers_in("caption_2"), numbers_in("描述二"), numbers_in("caption")
        (('2',), ('二',), ())
    """
    words = normalize_name(name).split("_")
    numbers = (_NUMBER.fullmatch(word) or CHINESE_NUMBER.search(word) for word in words)
    return tuple(match[0].strip("第条句个") for match in numbers if match)


@lru_cache(maxsize=4096)
def caption_key(name: str) -> tuple[str, int] | None:
    """The name of a caption column without its number, and its rank (0 is the most certain); None for others.

    Example:
        >>> caption_key("caption_zh_2"), caption_key("Text"), caption_key("caption_id")
        (('caption_zh', 1), ('text', 0), None)
    """
    words = [word for word in normalize_name(name).split("_") if word]
    words = [CHINESE_NUMBER.sub("", word) or word for word in words]
    unnumbered = [word for word in words if not _NUMBER.fullmatch(word)] or words
    singular = [word[:-1] if word.endswith("s") and word[:-1] in CAPTION_WORDS else word for word in unnumbered]
    key = "_".join(singular)
    if not key or any(word in NOT_CAPTION_WORDS for word in singular) or key in IMAGE_WORDS:
        return None
    chinese = [word for word in NOT_CAPTION_WORDS if not word.isascii()]
    if not key.isascii() and any(word in key for word in chinese):
        return None
    if key in CAPTION_WORDS:
        return key, 0
    if any(_contains(word, key, singular) for word in CAPTION_WORDS) and singular[-1] not in IMAGE_WORDS:
        return key, 1
    return (key, 2) if any(_contains(word, key, singular) for word in WEAK_CAPTION_WORDS) else None


def is_about_captions(name: str) -> bool:
    """Whether a name says that a column is something else than a caption, such as its source or its length."""
    words = normalize_name(name).split("_")
    return any(word in NOT_CAPTION_WORDS or word in SPLIT_WORDS for word in words)


def _contains(word: str, key: str, words: list[str]) -> bool:
    return word in words if word.isascii() else word in key


def split_word(value: object) -> str:
    """The value of a split column as `SPLIT_NAMES` has it if it is known: without quotes and COCO's year.

    Example:
        >>> split_word(" Train2017"), split_word("“测试集”"), split_word(None)
        ('train', '测试集', '')
    """
    name = "" if value is None else str(value).strip().strip("'`“”‘’\"").lower()
    return name if name in SPLIT_NAMES else _YEAR.sub("", name)


def could_be_split(name: str) -> bool:
    """Whether a column of split names may be the split: a word of its name is one for splits.

    Example:
        >>> could_be_split("dataset_split"), could_be_split("数据集划分"), could_be_split("caption")
        (True, True, False)
    """
    key = normalize_name(name)
    words = key.split("_")
    return any(_contains(part, key, words) for part in _SPLIT_PARTS)


def could_be_image(name: str) -> bool:
    """Whether a column may name the image: it has a name for images, or is called "id"."""
    return image_rank(name) is not None or normalize_name(name) == "id"


@lru_cache(maxsize=4096)
def image_rank(name: str) -> int | None:
    """The rank of a column name among names for images (0 is the most certain); None for others."""
    key = normalize_name(name)
    if key in IMAGE_WORDS:
        return IMAGE_WORDS.index(key)
    words = key.split("_")
    if caption_key(name) or any(word in NOT_IMAGE_WORDS for word in words):
        return None
    found = any(word in words for word in ("image", "img", "photo", "picture", "pic", "file", "filename"))
    found = found or any(word in key for word in ("图片", "图像", "照片", "文件名", "圖片", "圖像", "檔名"))
    return len(IMAGE_WORDS) if found else None


def find_named(names: Sequence[str], wanted: str, place: str, unit: str, option: str) -> tuple[int, ...]:
    """Positions of the columns that the user names; names repeat, and case and spaces around them are ignored.

    `zh` also means the keys `caption.zh` and `zh.caption` of nested objects, and a path from the root of a document,
    such as `items[].fields.photo[].name`, the key `fields.photo` of its entries.

    Raises:
        CorpusError: no column has the name; the message lists those that exist.
    """
    key = wanted.strip().casefold()
    plain = [str(name).strip().strip('"').casefold() for name in names]
    positions = [position for position, name in enumerate(plain) if name == key]
    positions = positions or [position for position, name in enumerate(plain) if name.endswith(f".{key}")]
    below = [position for position, name in enumerate(plain) if name.startswith(f"{key}.")]
    if not positions and option == "caption_column":
        ranks = [(caption_key(plain[position][len(key) :]) or ("", 3))[1] for position in below]
        best = min(ranks, default=3)
        below = [position for position, rank in zip(below, ranks, strict=True) if rank == best]
    positions = positions or below or _find_path(plain, key)
    if not positions:
        raise CorpusError(
            f"{place}: no {unit[:-1]} is named '{wanted}' ({option}, --{option.replace('_', '-')}); the {unit} are "
            f"{_show(names)}."
        )
    return tuple(positions)


def _show(names: Sequence[str]) -> str:
    """Whole names for a message; of many, those for captions and images first."""
    shown = list(map(str, names))
    if len(shown) > _MAX_SHOWN or len(", ".join(shown)) > _MAX_LETTERS:
        shown.sort(key=lambda name: caption_key(name) is None and image_rank(name) is None)
        count = min(len(shown) - 1, _MAX_SHOWN)
        while count > 1 and len(", ".join(shown[:count])) > _MAX_LETTERS:
            count -= 1
        shown = [*shown[:count], ".."]
    return ", ".join(shown)


def _find_path(plain: Sequence[str], path: str) -> list[int]:
    """The position of the longest name that a path with dots contains; a single key at its end."""
    whole = f".{_INDEX.sub('', path)}.".replace("..", ".")
    found = [at for at, name in enumerate(plain) if f".{name}." in whole and "." in whole[1:-1]]
    return sorted(found, key=lambda at: -len(plain[at]))[:1]
