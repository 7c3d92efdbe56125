"""Markup around phrases of a caption: marks of annotators, links of wikis and Markdown, tags, boxes and pinyin."""

from __future__ import annotations

import re
from collections.abc import Callable

from caption_tx.data.images.suffixes import suffix_of
from caption_tx.data.text.dictionary_pinyin import HAN, is_pinyin

ENTITY_PHRASE = re.compile(r"\[/EN#(\d+)((?:/[^\s/\]]+)+)\s+([^\]]*)\]")
"""A phrase of Flickr30k Entities: the number of its object, its types and its words."""

_NUMBER = r"\s*-?\d{1,4}(?:\.\d+)?\s*"
_FOUR_NUMBERS = rf"{_NUMBER}[,，]{_NUMBER}[,，]{_NUMBER}[,，]{_NUMBER}"
_COORDINATES = re.compile(
    rf"\s*(?:<(?:coor|region|bndbox)>[^<]*</\w+>|\{{?(?:<\d{{1,4}}>){{4}}\}}?(?:<delim>)?"
    rf"|[(（]{_NUMBER}[,，]{_NUMBER}[)）]\s*[,，]\s*[(（]{_NUMBER}[,，]{_NUMBER}[)）]"
    rf"|[(（\[]{{1,2}}{_FOUR_NUMBERS}(?:[;；]{_FOUR_NUMBERS})*[)）\]]{{1,2}})"
)
_MAY_BE_COORDINATES = re.compile(r"\d\s*[,，>]|</?(?:coor|region|bndbox)>")
_IMAGE_TOKEN = re.compile(
    r"(?:(?:picture|image|图片?)\s*\d+\s*[:：]\s*)?(?:<\|?/?(?:image|img|video|imagehere|image_?pad|vision_?start"
    r"|vision_?end|im_?start|im_?end|media)[_ ]?\d*\|?>|\[(?:IMG|IMAGE)\]|<[a-z]{2,6}_\d{1,4}>)\s*",
    re.IGNORECASE,
)
_IMAGE_TAG = re.compile(r"<(img|image)>([^<>]*)</\1>", re.IGNORECASE)
_WIKI_LINK = re.compile(r"\[\[(?![\"'\d])([^\[\],，;；|]+|[^\[\]|]+\|[^\[\]]+)\]\]")
_LINK = re.compile(r"!?\[([^\[\]\n]+)\]\(\s*[^\s()]+(?:\s+[\"'“][^()]*)?\)")
_BB_NAMES = "b|i|u|s|url|img|color|colour|size|font|quote|code|center|left|right|align|email|sup|sub|strike|h[1-6]"
_BB_CODE = re.compile(rf"\[({_BB_NAMES})(?:=[^\[\]]*)?\](.*?)\[/\1\]", re.IGNORECASE | re.DOTALL)
_RUBY = re.compile(r"<(rt|rp)>[^<]*</\1>|</?(?:ruby|rb)>", re.IGNORECASE)
_PAIR = re.compile(r"<([A-Za-z][\w-]{0,30})>([^<>]*)</\1>")
_BLOCKS = re.compile(r"(?:p|div|li|ul|ol|td|tr|item|br|s|(?:caption|sentence|text|desc|cap)\w*)", re.IGNORECASE)
_WEIGHT = re.compile(r"\(([^():]+):\d\.\d{1,2}\)")
_LORA = re.compile(r"\s*<(?:lora|lyco|hypernet):[^<>]*>\s*,?", re.IGNORECASE)
_MENTION = re.compile(
    r"\s*<(?:@[!&]?\w+|#\w+|![a-z]+(?:\^\w+)?|a?:\w+:\d+)(?:\|[^<>|]*)?>|<https?://[^<>|]+\|([^<>|]+)>"
)
_TONES = "āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜü"
_PINYIN = re.compile(rf"(?<=([{HAN}]))\s*[(（\[]\s*([A-Za-z{_TONES}][A-Za-z{_TONES}1-5 '’·-]*)\s*[)）\]]")
_HAS_TONE = re.compile(rf"[{_TONES[:-1]}]|[a-zü][1-5]")
_PINYIN_BETWEEN = re.compile(rf"(?<=([{HAN}]))([a-z{_TONES}]{{1,6}})(?=[{HAN}，。、！？]|$)")
_RUN_OF_HAN = re.compile(rf"[{HAN}]+$")

# What remains of markup, or of marks such as `[SEG]`, `:dog:`, `[1]` and a prompt's `[cat:dog:0.5]` and `[cat|dog]`.
_LEFT = re.compile(
    r"\[\[|\]\]|\{\{|\}\}|\[/\w[^\[\]]{0,40}\]|\[[A-Z][A-Z0-9_]+\]|\[\w+=[^\[\]]{0,40}\]|\]\(|\[\d{1,3}\]|</?[A-Za-z][\w-]*[^<>]{0,80}>"
    r"|(?<![\w:]):[a-z]{2,20}(?:_[a-z]{2,20})*:|\\[a-z]{3,12}\{|(?<!\*)\*\*(?!\*)|\(\([^()]+\)\)"
    r"|\[(?=[^\[\]]*[^\W\d])(?:[^\[\]:|]*:)?[^\[\]:|]*:\s*\d*\.?\d+\]|\[[^\[\]:|]+(?:\|[^\[\]:|]*)+\]"
    rf"|\[[{HAN}]{{1,4}}\]|(?<=[{HAN}])[（(][a-z]{{1,6}}(?: [a-z]{{1,6}})*[）)]"
)
# Marks of translators and reviewers: 【机翻】 before a caption, and known ones anywhere.
_MARK_BEFORE = re.compile(rf"\s*(?:\[[{HAN}]{{1,8}}\]|[【［〔][{HAN}A-Za-z]{{1,8}}[】］〕])(?=.)", re.DOTALL)
_KNOWN_MARK = re.compile(
    r"[(（\[【［〔]\s*(?:[机機]翻|[机機][译譯]|(?:机器|機器|自动|自動|ai|gpt)\s?(?:翻译|翻譯|生成|标注|標註|撰写)|存疑|待[定审審]"
    r"|待审核|待校对|未校对|待[确確][认認]|不确定|草稿|初稿|mt|fuzzy|draft|unsure|uncertain|unreviewed|needs[ _]review"
    r"|to be reviewed|(?:machine|auto|ai|gpt)[ -](?:generated|translated|translation))\s*[)）\]】］〕]",
    re.IGNORECASE,
)
_KNOWN_TOKENS = re.compile(r"[<\[]/?(?:unk|sep|mask|machine)[>\]]", re.IGNORECASE)


def _without_entities(caption: str) -> str:
    return ENTITY_PHRASE.sub(r"\3", caption)


def _without_coordinates(caption: str) -> str:
    if not _MAY_BE_COORDINATES.search(caption):  # which is faster than the pattern
        return caption
    text = _COORDINATES.sub("", caption)
    return caption if text == caption else re.sub(r"</?p>", "", text)


def _without_image_tokens(caption: str) -> str:
    text = _IMAGE_TAG.sub(lambda match: "<img>" if suffix_of(match[2].strip()) else match[0], caption)
    return _IMAGE_TOKEN.sub("", text)


def _without_links(caption: str) -> str:
    text = _WIKI_LINK.sub(lambda match: match[1].rpartition("|")[2], caption)
    return _LINK.sub(r"\1", text)


def _without_bb_code(caption: str) -> str:
    for _ in range(4):  # tags inside tags
        new = _BB_CODE.sub(lambda match: "" if match[1].lower() == "img" else match[2], caption)
        if new == caption:
            break
        caption = new
    return caption


def _without_tags(caption: str) -> str:
    text = _RUBY.sub("", caption)
    for _ in range(4):
        new = _PAIR.sub(lambda match: match[0] if _BLOCKS.fullmatch(match[1]) else match[2], text)
        if new == text:
            break
        text = new
    return text


def _without_mentions(caption: str) -> str:
    return _MENTION.sub(lambda match: match[1] or "", caption).strip()


def _without_weights(caption: str) -> str:
    return _WEIGHT.sub(r"\1", caption)


def _without_networks(caption: str) -> str:
    return _LORA.sub("", caption).strip(", ")


def _without_pinyin(caption: str) -> str:
    """A caption without pinyin in parentheses, and without pinyin of tones after each of several characters."""

    def replace(match: re.Match[str]) -> str:
        before = _RUN_OF_HAN.search(caption[: match.start()])
        words = [] if before is None else [before[0][-length:] for length in range(1, len(before[0]) + 1)]
        text = match[2].replace("’", "'").strip()
        # Without tones it could be English: an abbreviation or a brand.
        is_reading = any(is_pinyin(text, word) for word in words) and (
            _HAS_TONE.search(text) is not None or (text.islower() and " " in text)
        )
        return "" if is_reading else match[0]

    caption = _PINYIN.sub(replace, caption)
    between = _PINYIN_BETWEEN.findall(caption)
    if len(between) > 1 and all(_HAS_TONE.search(text) and is_pinyin(text, sign) for sign, text in between):
        caption = _PINYIN_BETWEEN.sub("", caption)
    return caption


STEPS: tuple[tuple[str, Callable[[str], str], str], ...] = (
    ("[", _without_entities, "captions with phrases of Flickr30k Entities ([/EN#1/people ..]), read without the marks"),
    ("([（<", _without_coordinates, "captions with the coordinates of boxes, which are stripped"),
    ("<[", _without_image_tokens, "captions with a placeholder of the image (such as <image>), which is stripped"),
    ("[", _without_links, "captions with links ([text](url), [[page|text]]), read as their text"),
    ("[", _without_bb_code, "captions with BBCode ([b]..[/b]), which is stripped"),
    ("<", _without_mentions, "captions with mentions or links of a chat (such as <@U01AB>), which are stripped"),
    ("<", _without_tags, "captions with tags around words (such as <b>), which are stripped"),
    ("(", _without_weights, "captions with weights of a prompt (word:1.2), which are stripped"),
    ("<", _without_networks, "captions with networks that a prompt adds (such as <lora:name:0.8>), which are stripped"),
    ("(（[āáǎàēéěèīíǐìōóǒòūúǔù", _without_pinyin, "captions with pinyin beside the characters, which is stripped"),
)
"""Signs that a step needs, the step, and its note."""


def find_markup(caption: str) -> str | None:
    """The first markup in a caption that is read as text, or None.

    Example:
        >>> find_markup("a [SEG] dog"), find_markup("{{cn}}一只狗"), find_markup("a dog (in the rain)")
        ('[SEG]', '{{', None)
        >>> find_markup("【机翻】一只狗"), find_markup("一只狗（机器翻译）"), find_markup("一只狗（玩具）")
        ('【机翻】', '（机器翻译）', None)
    """
    match = _LEFT.search(_KNOWN_TOKENS.sub("", caption)) or _MARK_BEFORE.match(caption) or _KNOWN_MARK.search(caption)
    return match[0] if match else None
