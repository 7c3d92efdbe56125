"""Captions that occur twice for one image: files that are copies of others, or were joined with themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from caption_tx.data.corpus.rows import CaptionRows

_MIN_SHARE = 0.01
_MIN_SHARE_IN_FILE = 0.2


def note_repeated(table: pd.DataFrame, codes: np.ndarray, sources: Sequence[CaptionRows]) -> None:
    """Notes how many captions of each source an earlier source of its stage, or its own file, has for the same image.

    A few captions are the same by chance, and are not reported.

    Args:
        table: of all sources, with the columns image, caption and stage.
        codes: index in `sources` of each row.
        sources: whose `notes` are filled.
    """
    image_ids, caption_ids = (pd.factorize(table[name])[0].astype(np.int64) for name in ("image", "caption"))
    keys = (image_ids * (caption_ids.max(initial=0) + 1) + caption_ids) * (table["stage"].max() + 1) + table["stage"]
    distinct, first_rows, places = np.unique(keys.to_numpy(np.int64), return_index=True, return_inverse=True)
    if len(distinct) == len(table):
        return
    first = first_rows[places]  # of each row, the row that has its caption first
    repeated = np.flatnonzero(first < np.arange(len(table)))
    sizes = np.bincount(codes, minlength=len(sources))
    pairs, counts = np.unique(np.stack([codes[repeated], codes[first[repeated]]]), axis=1, return_counts=True)
    for (at, before), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        rows = sources[at]
        if at == before and count >= _MIN_SHARE_IN_FILE * sizes[at]:
            rows.notes["captions that repeat one of the same image, so that they count twice"] += count
        elif at != before and count >= _MIN_SHARE * min(sizes[at], sizes[before]):
            other = sources[before].source
            rows.notes[f"captions that {other} has for the same images too, so that they count twice"] += count
