"""A caption in a notebook: its text, and a table of its words with their probabilities."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence

from caption_tx.data.text.vocabulary import end_label

_HAN = re.compile("[\u3400-\u9fff]")


def caption_html(text: str, words: Sequence[str], log_probabilities: Sequence[float]) -> str:
    """A paragraph and a table with one column per word; without the table if the numbers are not those of the words.

    Args:
        log_probabilities: natural logarithms, of the words and perhaps of the end token after them.

    Example:
        >>> caption_html("狗", ["狗"], [-0.1])
        '<p>狗</p><table><tr><td>狗</td></tr><tr><td>0.90</td></tr></table>'
    """
    paragraph = f"<p>{html.escape(text)}</p>"
    language = "zh" if _HAN.search("".join(words)) else "en"
    labels = [*words, end_label(language)][: len(log_probabilities)]
    if len(labels) != len(log_probabilities):
        return paragraph
    rows = ([html.escape(word) for word in labels], [f"{math.exp(value):.2f}" for value in log_probabilities])
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return paragraph + "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
