"""Draw a corpus report: a histogram of caption lengths, and vocabulary size against the minimum frequency."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter


def corpus_figure(report: dict[str, Any]) -> Figure:
    """Draws the content of a `CorpusReport` with checks.

    The left panel is a histogram of words per caption. The right panel shows the number of known words and the
    share of unknown words for different values of text.min_frequency.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    lengths, vocabulary = figure.subplots(1, 2)
    _draw_lengths(lengths, report["caption_length"])
    _draw_vocabulary(vocabulary, report["vocabulary"])
    return figure


def _draw_lengths(axes: Any, lengths: dict[str, Any]) -> None:
    words, max_words = lengths["words"], lengths["max_words"]
    values, counts = zip(*words["histogram"], strict=True)
    axes.bar(values, counts, width=0.9, color="tab:blue")
    axes.axvline(words["median"], color="black", linestyle=":", label=f"median: {words['median']:g} words")
    limit = max(3 * words["p95"], 10)  # otherwise one very long caption would squeeze all others
    if num_longer := sum(count for value, count in words["histogram"] if value > limit):
        axes.plot([], [], " ", label=f"{num_longer:,} captions of more than {limit:g} words not shown")
        axes.set_xlim(-0.5, limit + 0.5)
    if 0.6 * max_words < words["max"] and (not num_longer or max_words < limit):
        axes.axvline(max_words + 0.5, color="tab:red", linestyle="--", label=f"model limit: {max_words} words")
    axes.set(xlabel="words per caption", ylabel="captions", title="caption length")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3, axis="y")
    axes.set_axisbelow(True)
    axes.legend()


def _draw_vocabulary(axes: Any, vocabulary: dict[str, Any]) -> None:
    entries = vocabulary["by_min_frequency"]
    thresholds = [entry["min_frequency"] for entry in entries]
    lines = axes.plot(
        thresholds,
        [entry["known_words"] for entry in entries],
        color="tab:blue",
        marker="o",
        label="known words (left)",
    )
    shares = axes.twinx()
    styles = {"train": "-", "val": "--", "test": ":"}
    for split in vocabulary["unknown_share"]:
        lines += shares.plot(
            thresholds,
            [entry["unknown_share"][split] for entry in entries],
            color="tab:orange",
            linestyle=styles[split],
            marker=".",
            label=f"unknown in {split} (right)",
        )
    configured = vocabulary["min_frequency"]
    lines.append(axes.axvline(configured, color="gray", linestyle="--", label=f"text.min_frequency = {configured}"))
    axes.set_xscale("log")
    axes.set_xticks(thresholds, [str(value) for value in thresholds])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    shares.set_ylim(bottom=0)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axes.yaxis.set_major_formatter(formatter)
    axes.set(xlabel="minimum occurrences in the training captions", ylabel="known words", title="vocabulary")
    axes.yaxis.label.set_color("tab:blue")
    shares.set_ylabel("share of unknown words", color="tab:orange")
    axes.grid(alpha=0.3)
    axes.legend(handles=lines, loc="upper center", fontsize="small", framealpha=1)
