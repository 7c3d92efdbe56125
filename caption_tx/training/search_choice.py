"""Chooses the default search of a trained bundle on the validation split: `choose_search(run)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from caption_tx.bundle import Bundle, load_bundle, store_search
from caption_tx.bundle_config import parse_decoding
from caption_tx.config import MIN_IMAGES, SEARCH_IMAGES, Config, DecodingOptions, load_config, to_dict
from caption_tx.data.corpus.table import captions_by_image, evenly_spaced, read_table
from caption_tx.data.features.corpus_features import encode_splits
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.evaluation.scores import Scores
from caption_tx.locks import lock_folder
from caption_tx.training.callbacks import CaptionScorer
from caption_tx.training.run import weights_file

CANDIDATES = (
    DecodingOptions(),
    DecodingOptions(beam_width=3),
    DecodingOptions(beam_width=20, consensus=0.2),
    DecodingOptions(beam_width=20, consensus=0.4),
)
"""Searches that are measured, the fastest first."""

WITH_INDEX = tuple(replace(CANDIDATES[-1], retrieval=weight) for weight in (4.0, 8.0))
"""Searches that are measured too if the bundle has a retrieval index."""

_FORCE_ADVICE = "--force (force=True in Python) stores the best one anyway"


@dataclass(frozen=True)
class MeasuredSearch:
    """The scores of a search on validation images, and the seconds per image that searching and scoring took."""

    decoding: DecodingOptions
    scores: Scores
    seconds: float

    def __str__(self) -> str:
        scores = self.scores
        return (
            f"{self.decoding.describe()}: BLEU-4 {scores['bleu4']:.1f}, CIDEr {scores['cider']:.1f} "
            f"({scores.protocol.label}), {scores.statistics.distinct:,} distinct captions, "
            f"{1000 * self.seconds:.0f} ms per image"
        )


def choose_search(
    run: str | Path,
    bundle: str | Path | None = None,
    candidates: Sequence[DecodingOptions] = (),
    max_images: int = SEARCH_IMAGES,
    log: Callable[[str], None] = print,
    backbone_weights: str | None = None,
    force: bool = False,
) -> list[MeasuredSearch]:
    """Measures searches on the validation split of a finished run, and stores the best as the default of the bundle.

    The best search has the highest CIDEr; of equal ones the first. `CANDIDATES`, the search that the bundle stores and
    the given candidates compete. Only the bundle's config.json changes. Fewer than `MIN_IMAGES` images cannot tell
    searches apart: the bundle then keeps its search.

    Args:
        run: workdir of the run.
        bundle: folder of the bundle; by default that of the run. It may be a tuned one.
        candidates: further searches.
        max_images: validation images to caption, evenly spaced over the split.
        log: gets one line for each search, and one about the choice; and a warning if there are too few images.
        backbone_weights: file with the backbone's weights, if the path in the run's settings is not valid here.
        force: store the best search even if it was measured on fewer than `MIN_IMAGES` images.

    Returns:
        All searches, the best first.

    Raises:
        ConfigError: the run has no human captions in its validation split, a search does not fit the model, or the
            scorers are not installed.
        BundleError: there is no valid bundle, or a candidate has more hypotheses than a bundle may store.
        CaptionTxError: the bundle cannot generate captions, or another process uses the run.

    Example:
        >>> [best, *_] = choose_search("runs/mine", candidates=[DecodingOptions(beam_width=8)])
        >>> caption_tx.load("runs/mine").bundle.decoding == best.decoding
        True
    """
    run = Path(run)
    require_scorers()
    if max_images < 1:
        raise ConfigError(f"max_images must be at least 1, got {max_images}.")
    folder = Path(bundle) if bundle is not None else run / "bundle"
    config, loaded = load_config(run / "config.toml"), load_bundle(folder)
    own = () if loaded.retrieval is None else WITH_INDEX
    searches = list(dict.fromkeys([*CANDIDATES, *own, loaded.decoding, *candidates]))
    for decoding in searches:
        parse_decoding(to_dict(decoding), loaded.captioner.settings, loaded.retrieval is not None)
    with lock_folder(run, "uses"):
        scorer = _make_scorer(run, config, loaded, max_images, log, backbone_weights)
        measured = _measure(scorer, searches, folder, log)
        if len(scorer.references) < MIN_IMAGES and not force:
            log(f"The default search of {folder} is still: {loaded.decoding.describe()}; {_FORCE_ADVICE}.")
        else:
            store_search(folder, measured[0].decoding)
            log(f"The default search of {folder} is now: {measured[0].decoding.describe()}.")
    return measured


def _measure(
    scorer: CaptionScorer, searches: Sequence[DecodingOptions], bundle: Path, log: Callable[[str], None]
) -> list[MeasuredSearch]:
    """Scores every search; the best comes first."""
    measured = []
    for decoding in searches:
        start = time.perf_counter()
        scores = replace(scorer, options=decoding)()
        if scores is None:
            raise CaptionTxError(f"The bundle {bundle} generates no captions: its weights overflow.")
        measured.append(MeasuredSearch(decoding, scores, (time.perf_counter() - start) / len(scorer.references)))
        log(str(measured[-1]))
    return sorted(measured, key=lambda search: -search.scores["cider"])


def _make_scorer(
    run: Path,
    config: Config,
    bundle: Bundle,
    max_images: int,
    log: Callable[[str], None],
    backbone_weights: str | None,
) -> CaptionScorer:
    """Scores captions of evenly spaced validation images, whose features are those of the run."""
    table = read_table(config.corpus, bundle.text.language)
    backbone = bundle.load_backbone(backbone_weights or weights_file(config))
    cache = encode_splits(config, config.training.cache or str(run / "features"), backbone, table, ("val",), log)
    references = {
        name: texts for name, texts in captions_by_image(table, "val", "human").items() if name not in cache.failed
    }
    if not references:
        raise ConfigError(f"{run} has no human captions in split 'val' to choose a search on; add validation data.")
    convert = reference_converter(bundle.text) or str
    names = evenly_spaced(references, max_images)
    if len(names) < MIN_IMAGES:
        count = f"{len(names)} validation image{'s' if len(names) > 1 else ''}"
        log(
            f"warning: the searches are measured on {count} only; at least {MIN_IMAGES} are needed to tell a better "
            "search from a worse one."
        )
    chosen = {name: [convert(text) for text in references[name]] for name in names}
    return CaptionScorer(
        bundle.captioner,
        bundle.tokenizer,
        cache.load(names),
        chosen,
        bundle.text.language,
        segmenter=bundle.segmenter(),
        index=bundle.retrieval,
    )
