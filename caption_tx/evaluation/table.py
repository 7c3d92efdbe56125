"""An evaluation as lines for a terminal. No TensorFlow."""

from __future__ import annotations

from caption_tx.evaluation.evaluate import Evaluation
from caption_tx.evaluation.scores import METRICS, TITLES, Health

_WIDTH = 13


def format_evaluation(evaluation: Evaluation) -> str:
    """The scores with their intervals as a table, what tells whether to believe them, and notes."""
    scores = evaluation.scores
    lines = [_line("", TITLES)]
    for unit, row in scores.rows.items():
        lines.append(_line(unit, [f"{row[metric].value:.1f}" for metric in METRICS]))
        if scores.resamples:
            ends = [f"{row[metric].low:.1f}..{row[metric].high:.1f}" for metric in METRICS]
            lines.append(_line("  95%", ends))
    for unit, values in (evaluation.people or {}).items():
        lines.append(_line(f"people, {unit}", [f"{values[metric]:.1f}" for metric in METRICS]))
    return "\n".join([*lines, *format_health(scores.health), *evaluation.notes])


def _line(label: str, cells: list[str] | tuple[str, ...]) -> str:
    return f"{label:<18}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)


def format_health(health: Health) -> list[str]:
    """Counts and shares, a few to a line."""
    shares = [f"{health.repeated:.1%} repeat a run of words"]
    if health.cut is not None:
        shares.insert(0, f"{health.cut:.1%} cut at the length limit")
    if health.copied is not None:
        shares.append(f"{health.copied:.1%} word for word from the training split")
    empty = f", {health.empty:,} empty" if health.empty else ""
    return [
        f"{health.images:,} images, {health.distinct:,} distinct captions{empty}; {health.mean_length:.2f} words on "
        f"average, the references {health.reference_length:.2f}",
        ", ".join(shares),
    ]
