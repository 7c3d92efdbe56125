"""A corpus report as lines for a person."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

WIDTH = 110
"""Columns of a line; a Chinese character takes two."""

EXAMPLES = 3
"""Places that are shown of each finding."""

_ROWS = 16
_BAR = 40
_NO_WIDTH = ("Mn", "Me", "Cf")
_JOINERS = "\u200c\u200d"  # what holds emoji together
_LANGUAGES = {"zh": "Chinese", "en": "English"}


def format_report(report: dict[str, Any]) -> str:
    """`hygiene.check_corpus`'s report as text; nearly all lines have at most `WIDTH` columns."""
    sections = [
        ("CORPUS", _corpus(report)),
        ("SOURCES", _sources(report)),
        ("CAPTION LENGTH", _lengths(report)),
        ("VOCABULARY", _vocabulary(report["vocabulary"])),
        ("MOST FREQUENT CAPTIONS", _frequent(report)),
        ("IMAGES", _images(report["checked_images"])),
        ("PROBLEMS", _findings(report, "problem")),
        ("REMARKS", _findings(report, "remark")),
        ("FOR YOUR INFORMATION", _findings(report, "fact")),
        ("VERDICT", _verdict(report)),
    ]
    sections = [(title, [f"  {line}".rstrip() for line in lines]) for title, lines in sections if lines]
    return "\n\n".join("\n".join([title, *lines]) for title, lines in sections)


def display_width(text: str) -> int:
    """Columns that a terminal gives a text: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(letter) in _NO_WIDTH else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _fit(text: str, width: int) -> str:
    """A text in exactly `width` columns: filled with spaces, or cut with an ellipsis."""
    if display_width(text) > width:
        ends = itertools.accumulate(map(display_width, text))
        text = text[: sum(end < width for end in ends)] + "…"
    return text + " " * (width - display_width(text))


def _visible(text: str) -> str:
    """A text without what would move the cursor or turn the direction of writing."""
    return "".join(letter if letter.isprintable() or letter in _JOINERS else "?" for letter in text)


def _table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows with their cells in columns, the first `left` cells flush left, the others flush right."""
    rows = [[_visible(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        pairs = enumerate(zip(row, widths, strict=True))
        cells = [_fit(cell, width) if place < left else cell.rjust(width) for place, (cell, width) in pairs]
        lines.append("  ".join(cells).rstrip())
    return lines


def _per_cent(share: float, digits: int = 1) -> str:
    least = 10.0**-digits
    return f"{100 * share:.{digits}f} %" if 100 * share >= least or share == 0 else f"< {least:.{digits}f} %"


def _spread(numbers: dict[str, Any]) -> str:
    if numbers["min"] == numbers["max"]:
        return f"{numbers['min']} each"
    return (
        f"{numbers['min']} to {numbers['max']}, mean {numbers['mean']:g}, median {numbers['median']:g}, "
        f"95 % have at most {numbers['p95']:g}"
    )


def _bars(histogram: Sequence[Sequence[int]], most: int | None = None) -> list[str]:
    """A histogram in at most `_ROWS` rows; values above `most` share the last one."""
    low, high = histogram[0][0], histogram[-1][0]
    top = high if most is None else min(high, most)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**3, 10**6, 10**9) if (top - low) // step < _ROWS - 1)
    start = low if step == 1 else low - low % step
    counts: Counter[int] = Counter()
    for value, count in histogram:
        counts[start + (min(value, top + 1) - start) // step * step] += count
    labels = {}
    for first in range(start, max(counts) + 1, step):
        labels[first] = f"{first}" if step == 1 else f"{first}-{first + step - 1}"
    if high > top:
        labels[max(counts)] = f"{max(counts)} and more"
    highest = max(counts.values())
    bars = {first: "█" * round(_BAR * counts[first] / highest) or "▏" * bool(counts[first]) for first in labels}
    rows = _table(
        [[label.rjust(max(map(len, labels.values()))), f"{counts[first]:,}"] for first, label in labels.items()]
    )
    return [f"  {row}  {bar}".rstrip() for row, bar in zip(rows, bars.values(), strict=True)]


def _corpus(report: dict[str, Any]) -> list[str]:
    language = _LANGUAGES.get(report["language"], report["language"])
    lines = [f"{report['images']:,} images with {report['captions']:,} captions, read as {language}", ""]
    rows = [["split", "images", "captions", "by people", "machine-made"]]
    for split, counts in report["splits"].items():
        machine = counts["machine_captions"]
        numbers = (counts["images"], counts["captions"], counts["captions"] - machine, machine)
        rows.append([split, *(f"{number:,}" for number in numbers)])
    lines += _table(rows)
    if len(report["stage_captions"]) > 1:
        stages = (f"{count:,} in stage {stage}" for stage, count in report["stage_captions"].items())
        lines += ["", f"training captions: {', '.join(stages)}"]
    per_image = report["captions_per_image"]
    lines += ["", f"captions an image: {_spread(per_image)}"]
    if len(per_image["histogram"]) > 1:
        lines += _bars(per_image["histogram"])
    return lines


def _sources(report: dict[str, Any]) -> list[str]:
    files = report["files"]
    if not files:
        return []
    lines = []
    for file in files:
        notes = [f"{text}: {count:,}" for text, count in file.get("notes", {}).items()]
        about = [file.get("format"), file.get("encoding")]
        about += [f"{file[unit]:,} {unit}" for unit in ("images", "captions") if unit in file]
        lines += [str(file["source"]), "  " + ", ".join(filter(None, about))]
        lines += [f"  {note}" for note in notes]
    return lines


def _lengths(report: dict[str, Any]) -> list[str]:
    lengths = report["caption_length"]
    words = lengths["words"]
    lines = [f"words: {_spread(words)}; the model keeps {lengths['most_words']} (model.max_length - 1)"]
    lines += _bars(words["histogram"], most=max(int(words["p95"] * 2), 1))
    if report["language"] == "zh":
        lines.append(f"characters: {_spread(lengths['characters'])}")
    return lines


def _vocabulary(vocabulary: dict[str, Any]) -> list[str]:
    lines = [
        f"{vocabulary['words']:,} words, {vocabulary['distinct_words']:,} of them different",
        "",
        "The model knows the words that stand in the training captions at least so many times. Fewer known words",
        "make a smaller model that learns each of them better; an unknown word can neither be learned nor said.",
        "",
    ]
    splits = list(vocabulary["unknown_share"])
    rows = [["at least", "known words", *(f"unknown in {split}" for split in splits), ""]]
    for step in vocabulary["by_min_frequency"]:
        configured = step["min_frequency"] == vocabulary["min_frequency"]
        shares = [_per_cent(step["unknown_share"][split]) for split in splits]
        mark = "<- text.min_frequency" if configured else ""
        rows.append([f"{step['min_frequency']} times".rjust(8), f"{step['known_words']:,}", *shares, mark])
    lines += [line.rstrip() for line in _table([[*row[:-1], row[-1].ljust(21)] for row in rows])]
    if vocabulary["known_words"] + 4 >= vocabulary["max_vocabulary_size"]:
        shares = ", ".join(f"{_per_cent(share)} of {split}" for split, share in vocabulary["unknown_share"].items())
        lines.append(f"text.max_vocabulary_size keeps {vocabulary['known_words']:,} words; unknown: {shares}")
    if vocabulary["most_frequent_unknown"]:
        words = "  ".join(f"{word} {count}" for word, count in vocabulary["most_frequent_unknown"])
        lines += ["", f"{vocabulary['unknown_words']:,} different words stay unknown; the most frequent, with counts:"]
        lines.append("  " + _fit(words, WIDTH - 4).rstrip())
    return lines


def _frequent(report: dict[str, Any]) -> list[str]:
    rows = []
    for item in report["frequent_captions"]:
        share = _per_cent(item["count"] / report["captions"], 2)
        rows.append(
            [
                _fit(_visible(item["caption"]), 60).rstrip(),
                f"{item['count']:,} times",
                f"{item['images']:,} images",
                share,
            ]
        )
    return _table(rows) if rows else []


def _images(images: dict[str, Any] | None) -> list[str]:
    if images is None:
        return ["not checked; name their folder with --images"]
    lines = [
        f"captions name {images['named_by_captions']:,} images in {images['location']}:",
        f"{images['read']:,} read whole, {images['missing']:,} missing, {images['unreadable']:,} unreadable; "
        f"{images['uncaptioned']:,} other images there have no captions",
    ]
    if "smallest" not in images:
        return lines
    ends = [f"{images[end]['width']} x {images[end]['height']}" for end in ("smallest", "largest")]
    if ends[0] == ends[1]:
        return [*lines, f"all have {ends[0]} pixels"]
    names = [images[end]["image"] for end in ("smallest", "largest")]
    median = f"{images['median']['width']:g} x {images['median']['height']:g}"
    return [
        *lines,
        *_table([["smallest", f"{ends[0]} pixels", names[0]], ["largest", f"{ends[1]} pixels", names[1]]], left=3),
        f"median    {median} pixels",
    ]


def _short_names(report: dict[str, Any]) -> dict[str, str]:
    """Each source without its folders, where that names it."""
    sources = {
        place["source"] for about in report["findings"].values() for place in about["first"] if "source" in place
    }
    sources |= {str(file["source"]) for file in report["files"]}
    count = Counter(PurePath(source).name for source in sources)
    return {source: PurePath(source).name if count[PurePath(source).name] == 1 else source for source in sources}


def _counted(about: dict[str, Any]) -> str:
    share = _per_cent(about["count"] / max(about["of"], 1), 2)
    return f"{about['count']:,} of {about['of']:,} {about['unit']} ({share}) {about['title']}"


def _findings(report: dict[str, Any], level: str) -> list[str]:
    names = _short_names(report)
    lines: list[str] = []
    for kind, about in report["findings"].items():
        if about["level"] != level:
            continue
        lines += ([""] if lines else []) + _wrapped(f"{_counted(about)} [{kind}]")
        if about["advice"] != "nothing to do":
            lines.append(f"  -> {about['advice']}")
        rows = []
        for place in about["first"][:EXAMPLES]:
            where = f"{names[place['source']]}:{place['line']}" if "source" in place else ""
            head = [where, place.get("image", place.get("split", ""))]
            rows.append([*head, "  ".join(place[name] for name in ("detail", "caption") if name in place)])
        lines += ["  " + _fit(line, WIDTH - 4).rstrip() for line in _table(_without_empty_columns(rows), left=3)]
        if about["count"] > EXAMPLES:
            lines.append(f"  and {about['count'] - EXAMPLES:,} more")
    return lines


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    kept = [place for place in range(len(rows[0])) if any(row[place] for row in rows)]
    return [[row[place] for place in kept] for row in rows]


def _wrapped(text: str) -> Iterable[str]:
    """Lines of at most `WIDTH` columns, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and display_width(lines[-1]) + 1 + display_width(word) > WIDTH - 2:
            lines.append("  ")
        lines[-1] += ("" if not lines[-1].strip() else " ") + word
    return lines


def _verdict(report: dict[str, Any]) -> list[str]:
    verdict, findings = report["verdict"], report["findings"]
    clean = [kind.replace("_", " ") for kind, about in findings.items() if about["level"] == "none"]
    lines = list(_wrapped("looked for and not found: " + ", ".join(clean))) if clean else []
    if report["checked_images"] is None:
        lines.append("not looked for: anything about the images; name their folder with --images")
    if report["language"] == "zh" and report["scripts"] is None:
        lines.append(
            "not looked for: simplified among traditional characters; needs `pip install 'caption_tx[opencc]'`"
        )
    elif report["scripts"] is not None:
        names = {"simplified": "simplified only", "traditional": "traditional only", "both": "both"}
        counts = ", ".join(f"{report['scripts'][name]:,} {title}" for name, title in names.items())
        lines.append(f"captions by their characters: {counts}, {report['scripts']['either']:,} would do for either")
    lines.append("")
    remarks = len(verdict["remarks"])
    also = f"{remarks} {'remark' if remarks == 1 else 'remarks'} above" if remarks else "no remarks"
    if not verdict["problems"]:
        return [*lines, f"No problems found; {also}."]
    problems = len(verdict["problems"])
    lines.append(f"{problems} {'problem' if problems == 1 else 'problems'} to mend before training, {also}:")
    for kind in verdict["problems"]:
        lines += ["  " + line for line in _wrapped(f"{_counted(findings[kind])}")]
    return lines
