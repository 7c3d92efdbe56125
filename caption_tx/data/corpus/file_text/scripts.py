"""JSON inside scripts: `callback({..});`, `var data = [..];`, `export default [..]`, and literals of Python."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from caption_tx.data.corpus.values.literals import join_pairs
from caption_tx.data.corpus.values.value_kinds import is_image_name
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_NAME = r"(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*(?:\[['\"][^\]'\"]*['\"]\])?"
_COMMENTS = r"(?:\s*(?://[^\n]*\n|/\*(?:(?!\*/).)*\*/|#[^\n]*\n))*\s*"
_BEFORE = re.compile(
    rf"{_COMMENTS}(?:[\"']use strict[\"'];?\s*)?(?:\(\s*(?:function\s*\(\)|\(\)\s*=>)\s*\{{\s*)?"
    rf"(?:(?P<guard>\)\]\}}',?\s*|while\s*\(1\);?|for\s*\(;;\);?|throw 1;\s*<[^>]*>)"
    rf"|export\s+default\s+|(?:export\s+)?(?:var|let|const)\s+(?P<declared>[\w$]+)(?:\s*:\s*[\w\[\]<>, |]+)?\s*=\s*"
    rf"|(?P<assigned>{_NAME})\s*=\s*|(?P<called>{_NAME}(?:\s*&&\s*{_NAME})?)\s*\(\s*)(?=[\[{{])",
    re.DOTALL,
)
_REST = re.compile(r"[\s;)}(,]*(?:as const|satisfies [\w\[\]<>]+)?[\s;)}(]*", re.DOTALL)
_TOKEN = re.compile(
    r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/|,(?=\s*[\]},])"
    r"|[A-Za-z_$][\w$]*(?=\s*:)|\b(?:undefined|None|True|False|NaN)\b",
    re.DOTALL,
)
_WORDS = {"undefined": "null", "None": "null", "NaN": "null", "True": "true", "False": "false"}
_CHANGE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(['`$\n]))|(\")|([\x00-\x1f])", re.DOTALL)

SCRIPT = "the script around the data, not read"
JSON5 = "names of keys without quotes or texts in single quotes, as JavaScript and JSON5 have them, which are read"


@dataclass(frozen=True)
class ScriptFile(TextFile):
    """A text file whose text is the JSON inside a script."""

    notes: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """The data of the script as JSON; those of several variables as an object.

        Raises:
            CorpusError: the file cannot be read, or its data are no literals.
        """
        source = super().text()
        try:
            values, before, rest = _read(source)
        except (ValueError, RecursionError) as error:
            if not (values := _read_python(source)):
                start = _BEFORE.match(source)[0].strip()[-60:]
                raise CorpusError(
                    f"{self.path} is a script ({start!r} ..) whose data are not plain JSON ({error}); save the data "
                    "alone as a JSON file."
                ) from error
            before, rest = f"{next(iter(values))} =", ""
        self.notes[f"{SCRIPT} ({before[-60:]!r})"] = len(values)
        if rest.strip():
            self.notes[f"{SCRIPT} (after it {rest.strip()[:30]!r})"] = 1
        data = next(iter(values.values())) if len(values) == 1 else values
        return json.dumps(data, ensure_ascii=False)

    def lines(self, on_error: Callable[[int, str, str], None]) -> Iterator[tuple[int, str]]:
        """See `TextFile`; all data are in line 1."""
        yield 1, self.text()


def _read(source: str) -> tuple[dict[str, Any], str, str]:
    """The data of a script by the names of their variables, the text before the first, and the text behind the last.

    Raises:
        ValueError: the data are no literals.
    """
    values: dict[str, Any] = {}
    before, rest = "", source
    while match := _BEFORE.match(rest):
        value, rest = _decode(rest[match.end() :])
        values[match["declared"] or match["assigned"] or str(len(values))] = value
        before = before or match[0].strip()
        rest = rest[_REST.match(rest).end() :]
    return values, before, rest


def _read_python(source: str) -> dict[str, Any]:
    """The lists and dictionaries that a Python script gives names; {} if it is none."""
    values = {}
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                with suppress(ValueError, TypeError):
                    value = ast.literal_eval(node.value)
                    if isinstance(value, (list, tuple, dict)) and value:
                        values[node.targets[0].id] = json.loads(json.dumps(value))
    return values


def script_data(text: str) -> str | None:
    """The data of a script from their start as JSON, up to the end of the text; None for other texts.

    Example:
        >>> script_data("callback({image: 'a.jpg'});"), script_data("image,caption")
        ('{"image": "a.jpg"});', None)
    """
    match = _BEFORE.match(text)
    if match is None or is_image_name(match["assigned"] or ""):
        return None
    return to_json(text[match.end() :])


def to_json(text: str) -> str:
    """Literals of JavaScript as JSON: names of keys and strings in double quotes, without comments and last commas.

    Example:
        >>> to_json("[{a: 'it\\\\'s', \"b\": 1,}] // x")
        '[{"a": "it\\'s", "b": 1}] '
    """

    def change(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] in "'`":
            return f'"{_CHANGE.sub(_escape, token[1:-1])}"'
        if token[0] == '"':
            return token
        if token in _WORDS:
            return token if match.string[match.end() :].lstrip()[:1] == ":" else _WORDS[token]
        if token == ",":
            return ",null" if match.string[match.end() :].lstrip()[:1] == "," else ""
        return "" if token[0] == "/" else f'"{token}"'

    return _TOKEN.sub(change, text)


def _escape(match: re.Match[str]) -> str:
    code, plain, quote, control = match.groups()
    if code:
        return f"\\u00{code}"
    if plain is not None:
        return "" if plain == "\n" else plain
    return '\\"' if quote else f"\\u{ord(control):04x}"


def _decode(text: str) -> tuple[Any, str]:
    """The value of literals at the start of a text, and the text behind them."""
    plain = to_json(text)
    value, end = json.JSONDecoder(object_pairs_hook=join_pairs).raw_decode(plain)
    return value, plain[end:]
