"""Inspect a corpus: the library function of `caption-tx corpus`.

`check_corpus` runs all checks and `inspect_corpus` also reads the corpus from its settings. Both return a
`CorpusReport`. No TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from caption_tx.config import Config
from caption_tx.data.checks.caption_checks import (
    check_duplicates,
    check_lines,
    check_machine_captions,
    check_scripts,
    check_texts,
)
from caption_tx.data.checks.findings import Findings
from caption_tx.data.checks.image_checks import Progress, check_images
from caption_tx.data.checks.language import language_warning
from caption_tx.data.checks.single_words import single_word_warning
from caption_tx.data.checks.statistics import (
    caption_length_statistics,
    count_images_and_captions,
    vocabulary_statistics,
)
from caption_tx.data.checks.text_report import format_report
from caption_tx.data.corpus.summary import format_summary, summarize_corpus
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.word_lists import WordLists
from caption_tx.errors import CaptionTxError, CorpusError
from caption_tx.files import write_atomically


@dataclass(frozen=True, repr=False)
class CorpusReport:
    """Statistics of a corpus and, with checks, its problems.

    Attributes:
        content: the report as a dict that is ready for JSON.
        findings: all findings of the checks; None without checks.
    """

    content: dict[str, Any]
    findings: Findings | None = None

    def to_text(self) -> str:
        """Returns the report as text for a terminal."""
        return format_summary(self.content) if self.findings is None else format_report(self.content)

    def __repr__(self) -> str:
        return self.to_text()

    def to_json(self) -> str:
        """Returns the report as JSON."""
        return json.dumps(self.content, ensure_ascii=False, indent=1)

    def save_csv(self, path: str | Path) -> None:
        """Writes every finding as a row of a CSV file; needs a report with checks."""
        write_atomically(path, self._checked().to_csv())

    def save_figure(self, path: str | Path) -> None:
        """Draws caption lengths and vocabulary size as PNG, SVG or PDF; needs a report with checks."""
        from caption_tx.data.checks.plot import corpus_figure
        from caption_tx.figure_files import save_figure

        self._checked()
        save_figure(corpus_figure(self.content), path)

    def require_images(self) -> None:
        """Raises CaptionTxError if images were checked and none could be read."""
        images = self.content.get("checked_images")
        if images and not images["read"]:
            raise CaptionTxError(
                f"None of the captioned images could be read from '{images['location']}'; check images (--images)."
            )

    def _checked(self) -> Findings:
        if self.findings is None:
            raise CaptionTxError("This report has no findings; inspect the corpus with check=True.")
        return self.findings


def inspect_corpus(
    config: Config, table: pd.DataFrame, check: bool = False, progress: Progress | None = None
) -> CorpusReport:
    """Reports the statistics of a corpus, and its problems if `check` is set.

    Args:
        config: the images (which are only read for checks, and only if set) and the text settings.
        table: the captions, as `read_table` returns them.
        check: whether to look for problems, which decodes every image.
        progress: wraps (iterable, length, name of the items) in a progress bar.

    Example:
        >>> config = Config(corpus=CorpusConfig(sources=("captions.csv",), images="photos"))
        >>> print(inspect_corpus(config, read_table(config.corpus, "zh"), check=True).to_text())

    Raises:
        ImageError: the images cannot be listed.
    """
    segmenter = Segmenter(config.text)
    if not check:
        warnings = {
            "language_warning": language_warning(table["caption"], config.text.language),
            "single_word_warning": single_word_warning(table),
        }
        return CorpusReport({**summarize_corpus(table, segmenter), **warnings})
    images = open_images(config.corpus.images) if config.corpus.images else None
    return check_corpus(table, segmenter, images=images, max_length=config.model.max_length, progress=progress)


def check_corpus(
    table: pd.DataFrame,
    segmenter: Segmenter,
    *,
    images: ImageSource | None = None,
    max_length: int = 40,
    progress: Progress | None = None,
) -> CorpusReport:
    """Checks the captions of a table, and their images if `images` is given.

    In the report's `content`, `findings` has one entry per kind of finding that was checked, and `summary` lists
    the kinds that are problems, warnings and information. Long lists are cut to `MAX_LISTED` entries; shares are
    in [0, 1]. The same corpus always gives the same report.

    Args:
        table: as `read_corpus` returns it, including its `attrs`.
        segmenter: splits captions into words; its settings also define the vocabulary.
        images: where the images are; each is decoded completely. None skips the checks of images.
        max_length: model.max_length, the maximum number of tokens, which leaves room for one word fewer.
        progress: wraps (iterable, length, name of the items) in a progress bar.

    Raises:
        CorpusError: the table is empty.
        ImageError: the images cannot be listed.
    """
    if not len(table):
        raise CorpusError("There are no captions to check.")
    text, findings = segmenter.config, Findings()
    # Images come first, so that a wrong location is reported at once.
    checked_images = None if images is None else check_images(table, images, findings, progress)
    captions: Iterable[str] = table["caption"]
    if progress is not None:
        captions = progress(captions, len(table), "captions")
    lists = WordLists.from_lists(map(segmenter.segment, captions))
    check_lines(table, findings)
    check_texts(table, text, lists, max_length, findings)
    scripts = check_scripts(table, text, findings) if text.language == "zh" else None
    frequent_captions = check_duplicates(table, findings)
    check_machine_captions(table, findings)
    by_kind = findings.to_dict()
    dictionary = segmenter.dictionary_report()
    levels = {"problems": "problem", "warnings": "warning", "info": "info"}
    content = {
        **count_images_and_captions(table),
        "language": text.language,
        "language_warning": language_warning(table["caption"], text.language),
        "single_word_warning": single_word_warning(table),
        "files": list(table.attrs.get("files", [])),
        "caption_length": caption_length_statistics(table, lists, max_length),
        "vocabulary": vocabulary_statistics(table, text, lists),
        "user_dictionary": dictionary and dictionary.to_dict(),
        "frequent_captions": frequent_captions,
        "scripts": scripts,
        "checked_images": checked_images,
        "findings": by_kind,
        "summary": {
            name: [kind for kind, about in by_kind.items() if about["level"] == level] for name, level in levels.items()
        },
    }
    return CorpusReport(content, findings)
