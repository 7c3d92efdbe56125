"""Markup that models and programs write into captions: reasoning, grounding boxes, escapes and Python's bytes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote

from caption_tx.data.corpus.captions.formulas import target_of, text_of
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.html_images import img_sources
from caption_tx.data.corpus.values.phrase_markup import STEPS, find_markup
from caption_tx.data.corpus.values.value_kinds import is_valid_unicode
from caption_tx.data.images.suffixes import suffix_of
from caption_tx.errors import CorpusError

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?</\1>\s*", re.IGNORECASE | re.DOTALL)
_BOX = re.compile(
    r"<(box|quad|bbox|poly|point)>[^<]*</\1>|<\|(box|quad)_start\|>[^<]*<\|\2_end\|>"
    r"|</?object>|<patch_index_\d+>|<loc_?\d+>|<seg_?\d+>",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:ref|phrase|grounding|answer|obj|delim|output|response)>|<\|[a-z_]{2,30}\|>|\[/?(?:INST|CAP)\]",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"<(p|div|span|li|item|caption|sentence|td|b|i|em|strong)>([^<]+)</\1>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ATTRIBUTES = re.compile(r"<(p|div|span|li|br|td|b|i|em|strong|item|font)\s+[\w-]+=[^<>]*>", re.IGNORECASE)
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}){2}")
_EXCEL_ESCAPE = re.compile("_x([0-9A-F]{4})_")
_OBJECT = re.compile(r"<[\w.]+ .*(?:object )?at 0x[0-9A-Fa-f]+>|<PIL\.")
_LABEL = re.compile(r"([^\W\d_][\w ]{0,19}[:：])")
_KNOWN_LABEL = re.compile(
    r"(?:(?:the |image |photo |picture )?(?:caption|description|text|answer|response|output)|assistant|gpt"
    r"|(?:图片|图像|画面|照片|中文)?(?:描述|说明|标题|标注|内容|文案)|答案?|回答|输出)\s*[:：]",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"(?<![*A-Za-z0-9])(\*\*?\*?|__|~~|`)(?=[^\s*_~`])([^*_~`\n]+?)(?<=\S)\1(?![*A-Za-z0-9])")
_MAY_BE_MARKUP = re.compile(r"[\[\]{}<:\\*(（【［〔]")
_BYTES = re.compile(r"b('.*'|\".*\")", re.DOTALL)


def strip_markup(rows: CaptionRows) -> None:
    """Strips what models write around captions, and decodes escapes; `rows.notes` counts both."""
    steps: tuple[tuple[str, Callable[[str], str], str], ...] = (
        ("<", _without_thoughts, "captions after a model's reasoning (<think>), which is left out"),
        ("<", _without_attributes, "captions with HTML comments or attributes, which are removed"),
        ("<[", _without_tags, "captions with a model's markup (such as <ref> and <box>), which is stripped"),
        *STEPS,
        ("*_~`", _without_emphasis, "captions with Markdown's emphasis (**..**), which is stripped"),
        ("b", _decode_bytes, "captions written as Python bytes (b'..'), decoded"),
        ("\\", _decode_unicode, "captions with escapes (such as \\u4e00), decoded"),
        ("%", _decode_percent, "captions with percent signs (such as %E4%B8%80), decoded"),
        ("_", _decode_excel, "captions with escapes of a spreadsheet (such as _x000D_), decoded"),
    )
    text = "\0".join(rows.captions)
    for signs, convert, note in steps:
        has_sign = re.compile(f"[{re.escape(signs)}]").search
        if not has_sign(text):
            continue
        for row, caption in enumerate(rows.captions):
            if has_sign(caption):
                new = convert(caption).strip()
                if new and new != caption and is_valid_unicode(new):
                    rows.captions[row] = new
                    rows.notes[note] += 1


def note_markup(rows: CaptionRows) -> None:
    """Counts captions with markup that is read as text."""
    found = [find_markup(text) for text in rows.captions if _MAY_BE_MARKUP.search(text)]
    if found := [text for text in found if text]:
        rows.notes[f"captions with markup that is read as text (such as {found[0][:20]!r})"] += len(found)


def strip_labels(rows: CaptionRows) -> None:
    """Strips a label such as `Caption:` or `描述：` from the captions if nearly all begin with it, or reports it."""
    if len(rows) < 3:
        return
    labels = Counter(match[1] for caption in rows.captions if (match := _LABEL.match(caption)))
    label, count = labels.most_common(1)[0] if labels else ("", 0)
    if count < 0.9 * len(rows):
        return
    if _KNOWN_LABEL.fullmatch(label) is None:
        rows.notes[f"captions that begin with {label!r}, kept"] += count
        return
    for row, caption in enumerate(rows.captions):
        if caption.startswith(label) and (text := caption[len(label) :].strip()):
            rows.captions[row] = text
    rows.notes[f"captions that begin with {label!r}, which is stripped"] += count


def repair_names(rows: CaptionRows) -> None:
    """Reads image names in formulas, Markdown, dictionaries, or after the apostrophe of a spreadsheet.

    Raises:
        CorpusError: the names are descriptions of objects in memory instead of names.
    """
    changed = {}
    for name in dict.fromkeys(rows.images):
        if name[0] == "<" and _OBJECT.match(name):
            raise CorpusError(
                f"{rows.source}: the image names are objects of Python ({name[:50]!r}); save the images as files and "
                "write their names."
            )
        if (name[0] in "=!{'[<\"" or name[-1] == ")") and (new := _inner_name(name)) and new != name:
            changed[name] = new
    if changed:
        rows.images = [changed.get(name, name) for name in rows.images]
        first, new = next(iter(changed.items()))
        rows.notes[f"image names in formulas, Markdown, HTML or objects (such as {first[:60]!r}, read as {new!r})"] = (
            len(changed)
        )


def _inner_name(name: str) -> str:
    """The image name in `="x"`, `=HYPERLINK("x","y")`, `<img src="x">`, `![](x)`, `[x](x)`, `{'path': 'x'}` or `'x`."""
    if sources := img_sources(name):
        return sources[0]
    if text := text_of(name):
        return text
    if match := target_of(name):
        return match[2] if match[2] and suffix_of(match[2]) and "://" in match[1] else match[1]
    if match := re.fullmatch(r"(\S.*\.\w{2,5}) \(https?://[^()]+\)", name):  # an attachment of Airtable
        return match[1]
    if match := re.fullmatch(r"!?\[[^\]]*\]\(([^()]+)\)", name):
        return match[1].split(' "')[0].strip("<> ")
    if name[0] == "{":
        try:
            value = ast.literal_eval(name.replace("null", "None"))
        except (ValueError, SyntaxError):
            return ""
        value = value.get("path") or value.get("file_name") if isinstance(value, dict) else None
        return value if isinstance(value, str) else ""
    return name[1:] if name[0] == "'" and name[-1] != "'" and (suffix_of(name) or name[1:].isdecimal()) else ""


def _without_thoughts(caption: str) -> str:
    return _THOUGHT.sub("", caption) if "</" in caption else caption


def _without_attributes(caption: str) -> str:
    return _ATTRIBUTES.sub(r"<\1>", _COMMENT.sub("", caption))


def _without_tags(caption: str) -> str:
    text = _TAG.sub("", _BOX.sub("", caption))
    if match := _WRAPPED.fullmatch(text.strip()):
        text = match[2]
    return caption if text == caption else re.sub(r"  +", " ", text)


def _without_emphasis(caption: str) -> str:
    return _EMPHASIS.sub(r"\2", caption)


def _decode_bytes(caption: str) -> str:
    if not _BYTES.fullmatch(caption):
        return caption
    try:
        return ast.literal_eval(caption).decode("utf-8")
    except (ValueError, SyntaxError, AttributeError, UnicodeError):
        return caption


def _decode_unicode(caption: str) -> str:
    if not _UNICODE_ESCAPE.search(caption):
        return caption
    runs = re.compile(rf"(?:{_UNICODE_ESCAPE.pattern})+")

    def decode(match: re.Match[str]) -> str:
        text = match[0].encode("ascii").decode("unicode_escape")
        try:
            if "\\x" in match[0]:  # the bytes of UTF-8
                return text.encode("latin-1").decode("utf-8")
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeError:
            return match[0]

    return runs.sub(decode, caption)


def _decode_percent(caption: str) -> str:
    if "://" in caption or not _PERCENT.search(caption):
        return caption
    try:
        return unquote(caption, errors="strict")
    except UnicodeError:
        return caption


def _decode_excel(caption: str) -> str:
    return _EXCEL_ESCAPE.sub(lambda match: chr(int(match[1], 16)), caption).replace("\r\n", "\n").replace("\r", "\n")
