"""A corpus report as a figure: how long captions are, and what a vocabulary leaves unknown."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter


def corpus_figure(report: dict[str, Any]) -> Figure:
    """Two panels of `hygiene.check_corpus`'s report: a histogram of the captions' length in words; and
    the number of known words and the share of unknown ones against the minimum frequency."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    lengths, vocabulary = figure.subplots(1, 2)
    _draw_lengths(lengths, report["caption_length"])
    _draw_vocabulary(vocabulary, report["vocabulary"])
    return figure


def _draw_lengths(axes: Any, lengths: dict[str, Any]) -> None:
    words, room = lengths["words"], lengths["most_words"]
    values, counts = zip(*words["histogram"], strict=True)
    axes.bar(values, counts, width=0.9, color="tab:blue")
    axes.axvline(words["median"], color="black", linestyle=":", label=f"median: {words['median']:g} words")
    limit = max(3 * words["p95"], 10)  # else a single endless caption would squeeze all others
    if longer := sum(count for value, count in words["histogram"] if value > limit):
        axes.plot([], [], " ", label=f"{longer:,} captions of more than {limit:g} words not shown")
        axes.set_xlim(-0.5, limit + 0.5)
    if 0.6 * room < words["max"] and (not longer or room < limit):
        axes.axvline(room + 0.5, color="tab:red", linestyle="--", label=f"the model keeps {room} words")
    axes.set(xlabel="words in a caption", ylabel="captions", title="caption length")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    axes.legend()


def _draw_vocabulary(axes: Any, vocabulary: dict[str, Any]) -> None:
    steps = vocabulary["by_min_frequency"]
    thresholds = [step["min_frequency"] for step in steps]
    lines = axes.plot(
        thresholds, [step["known_words"] for step in steps], color="tab:blue", marker="o", label="known words (left)"
    )
    shares = axes.twinx()
    styles = {"train": "-", "val": "--", "test": ":"}
    for split in vocabulary["unknown_share"]:
        lines += shares.plot(
            thresholds,
            [step["unknown_share"][split] for step in steps],
            color="tab:orange",
            linestyle=styles[split],
            marker=".",
            label=f"unknown in {split} (right)",
        )
    chosen = vocabulary["min_frequency"]
    lines.append(axes.axvline(chosen, color="gray", linestyle="--", label=f"text.min_frequency = {chosen}"))
    axes.set_xscale("log")
    axes.set_xticks(thresholds, [str(value) for value in thresholds])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    shares.set_ylim(bottom=0)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axes.yaxis.set_major_formatter(formatter)
    axes.set(xlabel="times that a word must stand in the training captions", ylabel="known words", title="vocabulary")
    axes.yaxis.label.set_color("tab:blue")
    shares.set_ylabel("share of words that are unknown", color="tab:orange")
    axes.grid(alpha=0.3)
    axes.legend(handles=lines, loc="upper center", fontsize="small", framealpha=1)
