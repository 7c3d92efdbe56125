"""Other forms of user dictionaries: lists, tables, Rime, pinyin, JSON Lines, synonyms, and signs around words."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable

from caption_tx.data.text.dictionary_columns import Numbered, read_columns
from caption_tx.data.text.dictionary_pinyin import HAN
from caption_tx.data.text.dictionary_taxonomies import read_taxonomy

_WORD_HEADERS = frozenset((
    "word", "words", "term", "terms", "entry", "token", "name", "vocabulary", "vocab", "lemma", "keyword", "keywords",
    "phrase", "species", "commonname", "vernacularname", "chinese", "chinesename", "namezh", "namecn", "zh", "zhname",
    "cnname", "entity", "label", "concept", "glossary", "title", "titles", "pagetitle",
    "词", "词语", "词条", "单词", "词汇", "关键词", "关键字", "短语", "名称", "名字", "名", "中文名",
    "中文名称", "中文", "中文词", "汉语", "中名", "术语", "术语名称",
    "专业术语", "专有名词", "新词", "热词", "实体", "实体名", "实体名称", "概念", "物种", "物种名", "物种名称",
    "种名", "俗名", "品名", "品种", "商品名", "商品名称", "产品名", "产品名称", "菜名", "地名", "人名", "景点名称",
    "词名", "標準詞", "标准词", "詞", "詞語", "詞條", "詞彙", "單詞", "關鍵詞", "名稱", "中文名稱", "術語", "物種",
))  # fmt: skip
FREQUENCY_HEADERS = (
    "freq", "frequency", "count", "weight", "词频", "频率", "频次", "次数", "权重", "詞頻", "頻率",
)  # fmt: skip
TAG_HEADERS = ("tag", "pos", "flag", "type", "词性", "詞性")
"""Names of the columns of a table of words."""

_HEADER_SIGNS = re.compile(r"[\s_-]|[(（\[【].*$")
_TAG_NAMES = (
    "a ad ag an b c d df dg e eng f g h i j k l m mg mq n ng nr nrfg nrt ns nt nz o p q r rg rr rz s t tg u ud ug uj "
    "ul uv uz v vd vg vi vn vq x y z zg PER LOC ORG TIME"
)
TAGS = frozenset(_TAG_NAMES.split())
"""The part-of-speech tags of jieba's dictionary."""

_LTP_TAGS = frozenset(["nd", "nh", "ni", "nl", "nt", "nz", "wp", "ws"])
"""The tags of LTP that jieba does not have."""

_Convert = Callable[[str], list[str] | None]

_HAN = re.compile(f"[{HAN}]")
# A lookahead finds the Chinese character in time that grows with the length of a line, not with its square.
_WORD = rf"(?=\S*[{HAN}])\S+"
_NUMBERED = re.compile(
    r"(?:[(（\[【]?\d{1,6}\s*[.．、)）\]】:：-]|[①-⑳]|[(（]?[一二三四五六七八九十]{1,3}[、.．)）]|No\.?\s*\d+[.:：]?\s)\s*(\D.*)"
)
_CERTAINLY_NUMBERED = re.compile(rf"\d{{1,6}}\s*[.．、)）]\s*([{HAN}].*)")
_BULLET = re.compile(r"[-*•·–]\s+(\S.*)")
_QUOTED = re.compile(r"""(?:"([^"]+)"|“([^”]+)”|「([^」]+)」|'([^']+)'|‘([^’]+)’)([\s,，;\t]+\d+.*)?""")
_BRACKETED = re.compile(r"(?:【([^】]+)】|《([^》]+)》|\[([^\]]+)\]|\*\*([^*]+)\*\*)(\s+\d+.*)?")
_HTML = re.compile(r"</?[a-z]{1,6}\s*/?>", re.IGNORECASE)
_SIGNS_AT_END = re.compile(rf"(.*[{HAN}\w])\s*[;；。、:：]+")
_TAG = "|".join(sorted(TAGS | _LTP_TAGS, key=len, reverse=True))
_SLASH_TAG = re.compile(rf"(.+\S)(?:/(?:[a-z]{{1,4}}[0-9]?|[A-Z]{{2,}})|_(?:{_TAG}))")
_CERTAIN_TAG = re.compile(rf"({_WORD})[/_]({_TAG})")
_TAG_FIRST = re.compile(rf"(\S+(?: \S+){{0,4}}?)\s+({_TAG})\s+(\d+)((?:\s+[A-Za-z]+\s+\d+)*)")
_SEVERAL_TAGS = re.compile(rf"({_WORD})(?:\s+(?:{_TAG})){{2,}}")
_TAGS_AND_FREQUENCIES = re.compile(rf"({_WORD})\s+[A-Za-z]+\s+(\d+)(?:\s+[A-Za-z]+\s+\d+)*")
_TEXT_AFTER_TAG = re.compile(r"(\S+)\s+(\d+)\s+[a-z]{1,4}\s+\S.*")
_BARS = re.compile(r"([^|]+)\|\s*(\d+)\s*(?:\|\s*([a-z]{0,4})\s*)?")
_FREQUENCY_FIRST = re.compile(r"(\d+)[\s,，;]+(\D.*?)")
_COLON = re.compile(r"[\"']?([^:：\"']+?)[\"']?\s*[:：=]\s*(\d*),?")
_GLOSS = re.compile(rf"(?=[^:：]*[{HAN}])([^:：]+?)\s*[:：]\s*(\D.*)")
_PARENTHESES = re.compile(rf"(?=[^()（）]*[{HAN}])([^()（）]+?)\s*[(（].*[)）]")
_RUBY = re.compile(rf"(?<=[{HAN}])(?:《[ぁ-ヿ]+》|\[[ぁ-ヿ]+\]|\{{[ぁ-ヿ]+\}}|【[ぁ-ヿ]+】)")
_HASH = re.compile(rf"(?=[^#]*[{HAN}])([^#]+?)\s*#\s*\S.*")
_CALL = re.compile(r"(?:\w+\.)?add_word\(\s*(?:u?[\"'])(.+?)[\"']\s*(?:,\s*(?:freq\s*=\s*)?(\d+))?.*\);?")
_TUPLE = re.compile(r"[(\[]\s*[\"'](.+?)[\"']\s*,\s*(\d+)\s*[)\]],?")
_SYNONYMS = re.compile(r"\s*(?:=+>|->|→|=)\s*")
_COMMAS = re.compile(r"\s*[,，、]\s*")
_LIST = re.compile(r"\s*[,，、;；|]\s*")
_CELLS = re.compile("[,，;\t|]")
_RULE = re.compile(r"[|:\-\s]+")
_WORD_KEYS = ("word", "term", "entry", "token", "name", "text", "词", "词语", "词条")
_FREQUENCY_KEYS = ("freq", "frequency", "count", "weight", "词频", "频次")
_LONGEST_ITEM = 16


def is_word_header(name: str) -> bool:
    """Whether a cell is the name of a column of words.

    Example:
        >>> [is_word_header(name) for name in ("词", "中文名（简体）", "Common name", "学名", "大熊猫")]
        [True, True, True, False, False]
    """
    return _HEADER_SIGNS.sub("", name.strip().strip('"').casefold()) in _WORD_HEADERS


def rewrite_forms(lines: list[str]) -> tuple[Numbered, list[str]]:
    """The lines of a user dictionary as `word frequency tag`, with their numbers, and notes about their form.

    Most forms are recognized if every line has them, so that an entry such as `7 up` is not changed; signs that no
    entry has are stripped from single lines.

    Example:
        >>> rewrite_forms(["1. 红色T恤", "2. 草莓奶盖"])
        ([(1, '红色T恤'), (2, '草莓奶盖')], ["Read without the numbers of a list: line 1 '1. 红色T恤'."])
    """
    numbered = list(enumerate(lines, 1))
    notes: list[str] = []
    starts = [number for number, line in numbered if line.strip() == "---"]
    ends = [number for number, line in numbered if line.strip() == "..."]
    if starts and ends and starts[0] < ends[0]:
        numbered = [(number, line) for number, line in numbered if not starts[0] <= number <= ends[0]]
        notes.append(f"Skipped as the header of a Rime dictionary: lines {starts[0]} to {ends[0]}.")
    content = [(number, line) for number, line in numbered if line.strip()]
    taxonomy = read_taxonomy(content, notes)
    if taxonomy is not None:
        return taxonomy, notes
    content = _read_table(content, notes) or _rewrite_all(read_columns(content, TAGS, notes), notes)
    return _strip_signs(content, notes), notes


def _rewrite_all(content: Numbered, notes: list[str]) -> Numbered:
    """Rewrites the lines if all of them have one form."""
    for convert, name in _FORMS:
        found = list(itertools.takewhile(bool, (convert(line.strip()) for _, line in content)))
        if not found or len(found) < len(content) or (convert is not _split_list and len(found) < 2):
            continue
        if convert is _drop_index and not content[0][1].startswith(","):  # it would be a frequency
            continue
        if convert is _split_list and 2 * sum(len(words or ()) > 1 for words in found) < len(found):
            continue
        number, first = content[0]
        notes.append(f"Read {name}: line {number} {first.strip()[:40]!r}.")
        return [(number, word) for (number, _), words in zip(content, found, strict=True) for word in words or ()]
    return content


def _strip_signs(content: Numbered, notes: list[str]) -> Numbered:
    """Strips signs that belong to no entry from the lines that have them."""
    for convert, name in _SIGNS:
        changed = [(number, line.strip(), convert(line.strip())) for number, line in content]
        lines = [f"line {number} {line[:40]!r}" for number, line, words in changed if words]
        if lines:
            more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
            notes.append(f"Read {name}: {lines[0]}{more}.")
            content = [(number, words[0] if words else line) for number, line, words in changed]
    return _move_tags(content, notes)


def _move_tags(content: Numbered, notes: list[str]) -> Numbered:
    """Reads `word tag frequency`, also of words without Chinese characters if another line leaves no doubt."""
    matches = [_TAG_FIRST.fullmatch(line.strip()) for _, line in content]
    if not any(match and (_HAN.search(match[1]) or match[4] or len(match[2]) > 1) for match in matches):
        return content
    lines = [f"line {number} {line[:40]!r}" for (number, line), match in zip(content, matches, strict=True) if match]
    more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    notes.append(f"Read as 'word tag frequency': {lines[0]}{more}.")
    return [
        (number, f"{match[1]} {match[3]} {match[2]}" if match else line)
        for (number, line), match in zip(content, matches, strict=True)
    ]


def _read_table(content: Numbered, notes: list[str]) -> Numbered | None:
    """The words and frequencies of a table whose header has other columns too, or only that of the words."""
    if len(content) < 2:
        return None
    number, header = content[0]
    separator = next(iter(_CELLS.findall(header.strip().strip("|"))), ",")
    names = [cell.lower() for cell in _cells(header, separator)]
    found = [position for position, name in enumerate(names) if is_word_header(name)]
    if not found or not names[0]:
        return None
    rows = [(number, _cells(line, separator)) for number, line in content[1:] if not _RULE.fullmatch(line)]
    rows = [(number, cells + [""] * (len(names) - len(cells))) for number, cells in rows]
    at = max(found, key=lambda column: sum(bool(_HAN.search(cells[column])) for _, cells in rows[:100]))
    has_fields_only = len(names) > 1 and at == 0 and set(names[1:]) <= {*FREQUENCY_HEADERS, *TAG_HEADERS}
    if has_fields_only and separator != "|":
        return None  # `word,frequency,tag`
    if len(names) == 1 and names[0] != "page_title" and not _HAN.search(header + content[1][1]):
        notes.append(f"Line {number} {header.strip()[:40]!r} is read as an entry; remove it if it is a header.")
        return None
    if len(names) > 1 and not any(cells[at] for _, cells in rows):
        return None
    frequency = next((position for position, name in enumerate(names) if name in FREQUENCY_HEADERS), None)
    unread = [name for position, name in enumerate(names) if position not in (at, frequency) and name]
    column = f"; the words are in its column {names[at]!r}" if len(names) > 1 else ""
    column += f", the columns {', '.join(unread)[:100]} are not read" if unread else ""
    notes.append(f"Line {number} {header.strip()[:40]!r} is a header{column}.")
    if len(names) == 1:
        return content[1:]
    return [
        (number, f"{cells[at]} {'' if frequency is None else cells[frequency]}".strip())
        for number, cells in rows
        if cells[at]
    ]


def _cells(line: str, separator: str) -> list[str]:
    line = line.strip().strip("|") if separator == "|" else line.strip()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _match(pattern: re.Pattern[str], order: tuple[int, ...]) -> _Convert:
    """Groups of a pattern in another order, as one line."""

    def convert(line: str) -> list[str] | None:
        match = pattern.fullmatch(line)
        return [" ".join(match[at].strip() for at in order if match[at])] if match else None

    return convert


def _unwrap(pattern: re.Pattern[str]) -> _Convert:
    """The text in quotes or brackets, with the frequency after them."""

    def convert(line: str) -> list[str] | None:
        match = pattern.fullmatch(line)
        if match is None:
            return None
        *inner, rest = match.groups()
        return [next(filter(None, inner)) + (rest or "")]

    return convert


def _strip_html(line: str) -> list[str] | None:
    text = _HTML.sub("", line).strip()
    return [text] if text and text != line else None


def _drop_index(line: str) -> list[str] | None:
    """A row of a table whose first column is the index that pandas writes."""
    first, comma, rest = line.partition(",")
    is_index = (first == "" and rest.lower().startswith(_WORD_KEYS)) or (first.isdecimal() and rest[:1].isalpha())
    return [rest] if comma and is_index else None


def _parse_object(line: str) -> list[str] | None:
    try:
        value = json.loads(line) if line[:1] == "{" else None
    except (ValueError, RecursionError):
        return None
    word = word_of(value)
    return None if word is None else [word]


def word_of(value: object) -> str | None:
    """The line `word frequency` of an object such as {"word": "红色T恤", "freq": 100}; None for other values."""
    if not isinstance(value, dict):
        return None
    word = next((value[key] for key in _WORD_KEYS if isinstance(value.get(key), str)), None)
    return f"{word} {frequency_of(value) or ''}".strip() if word else None


def frequency_of(value: dict[str, object]) -> int | None:
    """The frequency in an object, or None."""
    found = (value[key] for key in _FREQUENCY_KEYS if isinstance(value.get(key), int))
    return next((number for number in found if isinstance(number, int)), None)


def _strip_ruby(line: str) -> list[str] | None:
    """A word without its readings, as Aozora Bunko has them in ｜紙刀《かみがたな》."""
    word, count = _RUBY.subn("", line)
    return [word.replace("｜", "")] if count else None


def _split_synonyms(line: str) -> list[str] | None:
    parts = [part for half in _SYNONYMS.split(line) for part in _COMMAS.split(half)]
    is_pair = len(_SYNONYMS.split(line)) > 1
    return parts if is_pair and all(parts) and not any(part.isdecimal() for part in parts) else None


def _split_list(line: str) -> list[str] | None:
    """The words of a list on one line, or the only word."""
    parts = [part for part in _LIST.split(line) if part]
    words = [part for part in parts if any(map(str.isalpha, part)) and len(part) <= _LONGEST_ITEM]
    are_words = words == parts and not re.fullmatch("[a-z]{1,3}", parts[-1])
    is_chinese = len(parts) == 1 or sum(bool(re.search(f"[{HAN}]", part)) for part in parts) > 0.5 * len(parts)
    return parts if parts and are_words and is_chinese else None


_SIGNS: tuple[tuple[_Convert, str], ...] = (
    (_match(_CERTAINLY_NUMBERED, (1,)), "without the numbers of a list"),
    (_match(_BULLET, (1,)), "without the marks of a list"),
    (_strip_html, "without HTML tags"),
    (_strip_ruby, "without readings in brackets (ruby)"),
    (_match(_SIGNS_AT_END, (1,)), "without the signs at the end"),
    (_unwrap(_QUOTED), "without quotes"),
    (_unwrap(_BRACKETED), "without brackets"),
    (_match(_CERTAIN_TAG, (1, 2)), "as 'word/tag'"),
    (_match(_SEVERAL_TAGS, (1,)), "without the tags after the word"),
)

_FORMS: tuple[tuple[_Convert, str], ...] = (
    (_parse_object, "as JSON Lines"),
    (_drop_index, "without the index of a table"),
    (_match(_CALL, (1, 2)), "as calls of add_word"),
    (_match(_TUPLE, (1, 2)), "as pairs of a word and its frequency"),
    (_match(_NUMBERED, (1,)), "without the numbers of a list"),
    (_match(_BULLET, (1,)), "without the marks of a list"),
    (_unwrap(_QUOTED), "without quotes"),
    (_match(_BARS, (1, 2, 3)), "as 'word|frequency|tag'"),
    (_match(_COLON, (1, 2)), "as 'word: frequency'"),
    (_match(_GLOSS, (1,)), "without the text after the colon"),
    (_match(_PARENTHESES, (1,)), "without the text in parentheses"),
    (_match(_HASH, (1,)), "without the text after #"),
    (_match(_SLASH_TAG, (1,)), "as 'word/tag'"),
    (_match(_TAGS_AND_FREQUENCIES, (1, 2)), "as 'word tag frequency'"),
    (_match(_TEXT_AFTER_TAG, (1, 2)), "without the text after the tag"),
    (_match(_FREQUENCY_FIRST, (2, 1)), "as 'frequency word'"),
    (_split_synonyms, "as synonyms, each of which is an entry"),
    (_split_list, "as a list of words on one line"),
)
