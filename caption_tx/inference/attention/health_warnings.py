"""The warnings of a health check as text, in English and Chinese."""

from __future__ import annotations

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError

_HEAD = {"en": "Layer {layer} head {head}", "zh": "第 {layer} 层第 {head} 个注意力头"}
_MEAN = {"en": "The mean of all layers and heads", "zh": "所有层和头的平均"}

WARNINGS = {
    "not_normalized": {
        "en": "{name} is not an attention distribution: the sum of a map differs from 1 by up to {value:.3g}.",
        "zh": "{name}不是有效的注意力分布：热力图的总和与 1 最多相差 {value:.3g}。",
    },
    "uniform": {
        "en": "{name} attends to all cells almost equally: its maps show nothing (entropy {value:.0%} of the maximum).",
        "zh": "{name}几乎均匀地关注整张图片，热力图没有参考价值（熵达到最大值的 {value:.0%}）。",
    },
    "same": {
        "en": "{name} looks at the same place for every word ({value:.0%} of the maps repeat the previous word's map).",
        "zh": "{name}对每个词都看同一个地方（{value:.0%} 的词与前一个词的热力图几乎相同）。",
    },
    "center": {
        "en": "{name} looks at the center of every image (only {value:.0%} of the attention differs by image).",
        "zh": "{name}不论图片内容如何都看中央（不同图片之间只有 {value:.0%} 的注意力不同）。",
    },
    "fixed": {
        "en": "{name} looks at the same place in every image (only {value:.0%} of the attention differs by image).",
        "zh": "{name}不论图片内容如何都看相同的地方（不同图片之间只有 {value:.0%} 的注意力不同）。",
    },
}
"""Texts by the kind of warning and the language."""


def check_language(language: str) -> None:
    """Checks that there are warnings in a language.

    Raises:
        ConfigError: `language` is neither "en" nor "zh".
    """
    if language not in LANGUAGES:
        raise ConfigError(f"The language of warnings must be {' or '.join(LANGUAGES)}, got {language!r}.")


def warning_text(kind: str, value: float, head: tuple[int, int] | None, language: str) -> str:
    """One warning as text.

    Args:
        kind: a key of `WARNINGS`.
        value: the measured value that the text shows.
        head: (layer, head); None for the mean of all layers and heads.
        language: "en" or "zh".
    """
    name = _MEAN[language] if head is None else _HEAD[language].format(layer=head[0], head=head[1])
    return WARNINGS[kind][language].format(name=name, value=value)
