"""Format a corpus report as text for a terminal: the sections of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from caption_tx.data.checks.terminal import (
    WIDTH,
    escape_unprintable,
    format_histogram,
    format_percent,
    format_table,
    pad_or_truncate,
    wrap,
)
from caption_tx.data.corpus.summary import WARNINGS

MAX_EXAMPLES = 3
"""Number of examples shown per finding."""

_LANGUAGES = {"zh": "Chinese", "en": "English"}


def format_report(report: dict[str, Any]) -> str:
    """Formats the content of a `CorpusReport` with checks; nearly all lines have at most `WIDTH` columns."""
    sections = [
        ("CORPUS", _corpus(report)),
        ("SOURCES", _sources(report)),
        ("CAPTION LENGTH", _caption_length(report)),
        ("VOCABULARY", _vocabulary(report["vocabulary"], report["user_dictionary"])),
        ("MOST FREQUENT CAPTIONS", _frequent_captions(report)),
        ("IMAGES", _images(report["checked_images"])),
        ("PROBLEMS", _findings(report, "problem")),
        ("WARNINGS", _findings(report, "warning")),
        ("INFORMATION", _findings(report, "info")),
        ("SUMMARY", _summary(report)),
    ]
    sections = [(title, [f"  {line}".rstrip() for line in lines]) for title, lines in sections if lines]
    return "\n\n".join("\n".join([title, *lines]) for title, lines in sections)


def _corpus(report: dict[str, Any]) -> list[str]:
    language = _LANGUAGES.get(report["language"], report["language"])
    lines = [f"{report['images']:,} images with {report['captions']:,} captions in {language}"]
    lines += [line for name in WARNINGS if report.get(name) for line in wrap(report[name])]
    lines.append("")
    rows = [["split", "images", "captions", "human", "machine"]]
    for split, counts in report["splits"].items():
        machine = counts["machine_captions"]
        numbers = (counts["images"], counts["captions"], counts["captions"] - machine, machine)
        rows.append([split, *(f"{number:,}" for number in numbers)])
    lines += format_table(rows)
    if len(report["stage_captions"]) > 1:
        stages = (f"{count:,} in stage {stage}" for stage, count in report["stage_captions"].items())
        lines += ["", f"training captions: {', '.join(stages)}"]
    per_image = report["captions_per_image"]
    lines += ["", f"captions per image: {_statistics(per_image)}"]
    if len(per_image["histogram"]) > 1:
        lines += format_histogram(per_image["histogram"])
    return lines


def _statistics(values: dict[str, Any]) -> str:
    if values["min"] == values["max"]:
        return f"{values['min']}"
    return (
        f"{values['min']} to {values['max']}, mean {values['mean']:g}, median {values['median']:g}, "
        f"95th percentile {values['p95']:g}"
    )


def _sources(report: dict[str, Any]) -> list[str]:
    lines = []
    for file in report["files"]:
        about = [file.get("format"), file.get("encoding")]
        about += [f"{file[unit]:,} {unit}" for unit in ("images", "captions") if unit in file]
        lines += [str(file["source"]), "  " + ", ".join(filter(None, about))]
        lines += [f"  {note}: {count:,}" for note, count in file.get("notes", {}).items()]
    return lines


def _caption_length(report: dict[str, Any]) -> list[str]:
    lengths = report["caption_length"]
    words = lengths["words"]
    lines = [f"words: {_statistics(words)}; the model keeps {lengths['max_words']} (model.max_length - 1)"]
    lines += format_histogram(words["histogram"], max_value=max(int(words["p95"] * 2), 1))
    if report["language"] == "zh":
        lines.append(f"characters: {_statistics(lengths['characters'])}")
    return lines


def _vocabulary(vocabulary: dict[str, Any], dictionary: dict[str, Any] | None) -> list[str]:
    lines = [
        f"{vocabulary['words']:,} words, {vocabulary['distinct_words']:,} of them distinct",
        "",
        "The vocabulary contains the words that occur at least this often in the training captions. A smaller",
        "vocabulary is easier to learn, but the model can neither learn nor generate unknown words.",
        "",
    ]
    splits = list(vocabulary["unknown_share"])
    rows = [["at least", "known words", *(f"unknown in {split}" for split in splits), ""]]
    for entry in vocabulary["by_min_frequency"]:
        is_configured = entry["min_frequency"] == vocabulary["min_frequency"]
        shares = [format_percent(entry["unknown_share"][split]) for split in splits]
        mark = "<- text.min_frequency" if is_configured else ""
        rows.append([f"{entry['min_frequency']} times".rjust(8), f"{entry['known_words']:,}", *shares, mark])
    lines += [line.rstrip() for line in format_table([[*row[:-1], row[-1].ljust(21)] for row in rows])]
    if vocabulary["known_words"] + 4 >= vocabulary["max_vocabulary_size"]:
        shares = ", ".join(f"{format_percent(share)} of {name}" for name, share in vocabulary["unknown_share"].items())
        lines.append(f"text.max_vocabulary_size keeps {vocabulary['known_words']:,} words; unknown: {shares}")
    if vocabulary["most_frequent_unknown"]:
        words = "  ".join(f"{word} {count}" for word, count in vocabulary["most_frequent_unknown"])
        lines += ["", f"{vocabulary['unknown_words']:,} distinct words are unknown; the most frequent, with counts:"]
        lines.append("  " + pad_or_truncate(words, WIDTH - 4).rstrip())
    if dictionary is not None:
        lines += ["", *wrap(escape_unprintable(dictionary["summary"]))]
    return lines


def _frequent_captions(report: dict[str, Any]) -> list[str]:
    rows = [
        [
            pad_or_truncate(escape_unprintable(item["caption"]), 60).rstrip(),
            f"{item['count']:,} times",
            f"{item['images']:,} images",
            format_percent(item["count"] / report["captions"], 2),
        ]
        for item in report["frequent_captions"]
    ]
    return format_table(rows) if rows else []


def _images(images: dict[str, Any] | None) -> list[str]:
    if images is None:
        return ["not checked; name their folder with images (--images)"]
    lines = [
        f"{images['captioned']:,} captioned images in {images['location']}:",
        f"{images['read']:,} decoded, {images['missing']:,} missing, {images['unreadable']:,} unreadable; "
        f"{images['uncaptioned']:,} more images have no captions",
        *(line for note in images.get("notes", []) for line in wrap(note)),
    ]
    if "smallest" not in images:
        return lines
    size = {key: f"{images[key]['width']} x {images[key]['height']} pixels" for key in ("smallest", "largest")}
    if size["smallest"] == size["largest"]:
        return [*lines, f"all have {size['smallest']}"]
    rows = [[key, text, images[key]["image"]] for key, text in size.items()]
    median = f"{images['median']['width']:g} x {images['median']['height']:g}"
    return [*lines, *format_table(rows, left_aligned=3), f"median    {median} pixels"]


def _findings(report: dict[str, Any], level: str) -> list[str]:
    names = _short_source_names(report)
    lines: list[str] = []
    for kind, about in report["findings"].items():
        if about["level"] != level:
            continue
        lines += ([""] if lines else []) + wrap(f"{_headline(about)} [{kind}]")
        if about["advice"]:
            lines.append(f"  -> {about['advice']}")
        rows = []
        for example in about["examples"][:MAX_EXAMPLES]:
            position = f"{names[example['source']]}:{example['line']}" if "source" in example else ""
            text = "  ".join(example[name] for name in ("detail", "caption") if name in example)
            rows.append([position, example.get("image", example.get("split", "")), text])
        table = format_table(_without_empty_columns(rows), left_aligned=3)
        lines += ["  " + pad_or_truncate(line, WIDTH - 4).rstrip() for line in table]
        if about["count"] > MAX_EXAMPLES:
            lines.append(f"  and {about['count'] - MAX_EXAMPLES:,} more")
    return lines


def _headline(about: dict[str, Any]) -> str:
    share = format_percent(about["count"] / max(about["total"], 1), 2)
    return f"{about['count']:,} of {about['total']:,} {about['unit']} ({share}) {about['title']}"


def _short_source_names(report: dict[str, Any]) -> dict[str, str]:
    """Returns the name of each source without its folder, where that is unambiguous."""
    examples = (example for about in report["findings"].values() for example in about["examples"])
    sources = {example["source"] for example in examples if "source" in example}
    sources |= {str(file["source"]) for file in report["files"]}
    count = Counter(PurePath(source).name for source in sources)
    return {source: PurePath(source).name if count[PurePath(source).name] == 1 else source for source in sources}


def _without_empty_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    used = [index for index in range(len(rows[0])) if any(row[index] for row in rows)]
    return [[row[index] for index in used] for row in rows]


def _summary(report: dict[str, Any]) -> list[str]:
    summary, findings = report["summary"], report["findings"]
    clean = [kind.replace("_", " ") for kind, about in findings.items() if about["level"] == "none"]
    lines = list(wrap("checked and not found: " + ", ".join(clean))) if clean else []
    if report["checked_images"] is None:
        lines.append("not checked: images; name their folder with images (--images)")
    scripts = report["scripts"]
    if report["language"] == "zh" and scripts is None:
        lines.append("not checked: mixed scripts; requires `pip install 'caption_tx[opencc]'`")
    elif scripts is not None:
        lines.append(
            f"captions by script: {scripts['simplified']:,} simplified, {scripts['traditional']:,} traditional, "
            f"{scripts['both']:,} mixed, {scripts['either']:,} the same in both"
        )
    lines.append("")
    num_problems, num_warnings = len(summary["problems"]), len(summary["warnings"])
    warnings = f"{num_warnings or 'no'} {'warning' if num_warnings == 1 else 'warnings'}"
    if not num_problems:
        return [*lines, f"No problems found, {warnings}."]
    lines.append(f"{num_problems} {'problem' if num_problems == 1 else 'problems'} to fix before training, {warnings}:")
    for kind in summary["problems"]:
        lines += ["  " + line for line in wrap(_headline(findings[kind]))]
    return lines
