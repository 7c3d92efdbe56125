"""Settings, captions and images of a function: from keywords, a `Config`, or both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from caption_tx.config import Config, Source, from_dict, split_keywords
from caption_tx.config.fields import settings_of
from caption_tx.data.corpus.memory import Captions, CaptionSource, CaptionTable, list_captions
from caption_tx.data.corpus.table import read_table
from caption_tx.errors import ConfigError
from caption_tx.files import write_atomically
from caption_tx.locks import lock_folder

SECTIONS: dict[str, type] = {item.name: item.default_factory for item in fields(Config)}
"""Classes of the sections of `config.toml`."""


@dataclass(frozen=True)
class Request:
    """What a function was asked to work on.

    Attributes:
        config: the settings. Captions in memory are listed in `corpus.sources` by their name for messages.
        sources: the captions; those in memory are tables.
        others: settings of other sections, by section.
    """

    config: Config
    sources: list[CaptionSource | CaptionTable]
    others: dict[str, dict[str, Any]]

    def read_table(self) -> pd.DataFrame:
        """The captions, as `read_corpus` returns them."""
        return read_table(self.config.corpus, self.config.text.language, self.sources)

    def save_captions(self, workdir: Path) -> Config:
        """Writes captions in memory to the workdir, so that the run can be resumed; returns settings that name them.

        Raises:
            ConfigError: the workdir contains a run with other captions.
            CaptionTxError: another process uses the workdir.
        """
        tables = [source for source in self.sources if isinstance(source, CaptionTable)]
        paths = {
            table.name: workdir / f"captions{'' if number == 1 else f'-{number}'}.parquet"
            for number, table in enumerate(tables, 1)
        }
        if tables:
            # Several workers write the same file.
            with nullcontext() if os.environ.get("TF_CONFIG") else lock_folder(workdir, "uses"):
                for table in tables:
                    _save_table(table, paths[table.name], workdir)
        names = [
            str(paths[source.name]) if isinstance(source, CaptionTable) else _source_text(source)
            for source in self.sources
        ]
        return replace(self.config, corpus=replace(self.config.corpus, sources=tuple(names)))


def resolve_request(
    captions: Captions | Iterable[Captions] | None,
    images: str | Path | None,
    config: Config | None,
    keywords: Mapping[str, Any],
    sections: Iterable[str] = tuple(SECTIONS),
    others: Mapping[str, type] | None = None,
) -> Request:
    """The request that the arguments of a function express.

    Args:
        captions: a caption file or folder, a DataFrame, a mapping, or several; None for those of `config`.
        images: where the images are; None for `corpus.images` of `config`.
        config: settings to start from.
        keywords: settings that replace those of `config`.
        sections: sections of `config.toml` that apply to the function.
        others: classes of other sections.

    Raises:
        ConfigError: a setting is unknown or invalid, or there are no captions.
        CorpusError: the captions have an unknown form.
    """
    if isinstance(captions, Config):
        raise ConfigError("The first argument is the captions; pass settings as config=..")
    others = others or {}
    values = split_keywords(keywords, {name: SECTIONS[name] for name in sections} | dict(others))
    base = Config() if config is None else config
    own = {section: values.pop(section) for section in sections}
    if images is not None:
        own["corpus"]["images"] = os.fspath(images)
    config = from_dict(Config, own, base=base)
    if captions is None:
        captions = config.corpus.sources
        if not captions:
            raise ConfigError("No captions; pass a caption file or folder, a DataFrame, or a mapping.")
    sources = list_captions(captions)
    names = tuple(source.name if isinstance(source, CaptionTable) else _source_text(source) for source in sources)
    return Request(replace(config, corpus=replace(config.corpus, sources=names)), sources, values)


def _source_text(source: CaptionSource) -> str:
    """A source as `parse_source` reads it."""
    if not isinstance(source, Source):
        return os.fspath(source)
    options = {name: getattr(source, name) for name, item in settings_of(Source).items() if name != "path"}
    changed = [f"{name}={value}" for name, value in options.items() if value != settings_of(Source)[name].default]
    return f"{source.path}:{','.join(changed)}" if changed else source.path


def _save_table(table: CaptionTable, path: Path, workdir: Path) -> None:
    """Writes a table, unless the file already has the same rows."""
    import pyarrow
    import pyarrow.parquet

    if (workdir / "checkpoint.npz").exists():
        try:
            same = pyarrow.parquet.read_table(path).equals(pyarrow.parquet.read_table(pyarrow.BufferReader(table.data)))
        except (OSError, pyarrow.ArrowException):
            same = False
        if not same:
            raise ConfigError(
                f"{workdir} contains a run with other captions; pass the same captions to resume it, or choose another "
                "workdir."
            )
        return
    workdir.mkdir(parents=True, exist_ok=True)
    write_atomically(path, table.data)
