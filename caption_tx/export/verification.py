"""Compares an export with its bundle: equal captions, similarity and CIDEr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions, ExportOptions
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.discovery import find_images
from caption_tx.data.images.forms import NamedImage, image_name
from caption_tx.data.images.sources import open_images
from caption_tx.data.scenes.rendering import render_scene
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.search.caption import Caption
from caption_tx.inference.search.cider import cider_d, count_ngrams, ngram_vectors

NUM_SCENES = 16
"""Scenes that are rendered if no photographs are given."""

CaptionImages = Callable[[Sequence[NamedImage]], Iterator[tuple[str, list[Caption] | ImageError]]]
"""Greedy captions of images by name."""


@dataclass(frozen=True)
class Verification:
    """How the greedy captions of an export differ from those of its bundle.

    Attributes:
        images: number of images that both could read.
        equal: number of images with the same caption.
        similarity: mean CIDEr-D of the export's captions against the bundle's, without idf, in [0, 1]; 1 if all
            captions are equal.
        log_prob_difference: largest difference of the log-probability of a token of equal captions.
        cider, bundle_cider: times 100, if there were reference captions.
        source: what was captioned.
    """

    images: int
    equal: int
    similarity: float
    log_prob_difference: float
    cider: float | None
    bundle_cider: float | None
    source: str

    @property
    def agreement(self) -> float:
        """The share of equal captions."""
        return self.equal / self.images

    def __str__(self) -> str:
        text = f"{self.equal} of {self.images} captions of {self.source} are equal, similarity {self.similarity:.3f}"
        if self.cider is not None:
            text += f", CIDEr {self.cider:.1f} (bundle {self.bundle_cider:.1f})"
        return text


def verification_images(options: ExportOptions) -> list[NamedImage]:
    """The images to compare.

    Raises:
        ConfigError: the folder has no images.
    """
    if options.verify_images is None:
        scenes = (render_scene(0, index).image for index in range(NUM_SCENES))
        return [(f"scene {index}", tf.io.encode_png(image).numpy()) for index, image in enumerate(scenes)]
    images = list(islice(find_images([options.verify_images], lambda text: None), options.verify_limit))
    if not images:
        raise ConfigError(f"verify_images: there are no images in {options.verify_images}.")
    return images


def verify(captioner: ImageCaptioner, exported: CaptionImages, options: ExportOptions) -> Verification:
    """Caption the same images with a bundle and with its export.

    Raises:
        ConfigError: there are no images, or no captions of them.
        CaptionTxError: no image can be read.
    """
    images = verification_images(options)
    greedy = captioner.captions(images, DecodingOptions())
    expected = {name: found[0] for name, found in greedy if not isinstance(found, ImageError)}
    actual = {name: found[0] for name, found in exported(images) if not isinstance(found, ImageError)}
    names = [image_name(image) for image in images if image_name(image) in expected.keys() & actual.keys()]
    if not names:
        raise CaptionTxError("The export cannot be verified: none of the images could be read.")
    pairs = [(expected[name], actual[name]) for name in names]
    equal = [pair for pair in pairs if pair[0].token_ids == pair[1].token_ids]
    differences = [np.abs(np.subtract(a.log_probabilities, b.log_probabilities)).max() for a, b in equal]
    cider, bundle_cider = _cider(captioner, names, [actual, expected], options)
    return Verification(
        images=len(names),
        equal=len(equal),
        similarity=float(np.mean([_similarity(*pair) for pair in pairs])),
        log_prob_difference=float(max(differences, default=0.0)),
        cider=cider,
        bundle_cider=bundle_cider,
        source="rendered scenes" if options.verify_images is None else Path(options.verify_images).name,
    )


def _similarity(first: Caption, second: Caption) -> float:
    vectors = [ngram_vectors(count_ngrams(caption.token_ids)) for caption in (first, second)]
    return cider_d(*vectors)


def _cider(
    captioner: ImageCaptioner, names: list[str], captions: list[dict[str, Caption]], options: ExportOptions
) -> list[float | None]:
    """CIDEr times 100 of each set of captions, or None without references."""
    if options.verify_captions is None:
        return [None, None]
    from caption_tx.evaluation.scores import score

    table = read_corpus(options.verify_captions, images=options.verify_images, language=captioner.bundle.text.language)
    by_image = table.groupby("image")["caption"].apply(list).to_dict()
    stems = {Path(image).stem: texts for image, texts in by_image.items()}
    references = {name: stems[Path(name).stem] for name in names if Path(name).stem in stems}
    if not references:
        raise ConfigError(f"verify_captions: {options.verify_captions} has no captions of these images.")
    language = captioner.tokenizer.language
    return [
        score(
            {name: found[name].text for name in references},
            references,
            language,
            characters=False,
            bootstrap=None,
        )
        .rows["words"]["cider"]
        .value
        for found in captions
    ]


def saved_model_captions(loaded: Any, captioner: ImageCaptioner) -> CaptionImages:
    """Greedy captions of a SavedModel, as `tf.saved_model.load` returns it."""
    function = loaded.signatures["serving_default"]
    tokenizer = captioner.tokenizer

    def run(images: Sequence[NamedImage]) -> Iterator[tuple[str, list[Caption] | ImageError]]:
        for image in images:
            name = image_name(image)
            data = image[1] if isinstance(image, tuple) else open_images("").read_bytes(name)
            outputs = {key: value[0] for key, value in function(images=tf.constant([data])).items()}
            if not outputs["readable"]:
                yield name, ImageError(f"{name} cannot be read by the export.")
                continue
            token_ids = [token_id for token_id in outputs["token_ids"].numpy().tolist() if token_id]
            log_probs = outputs["log_probs"].numpy().tolist()[: len(token_ids)]
            caption = Caption(
                text=outputs["text"].numpy().decode(),
                words=tuple(tokenizer.to_words(token_ids)),
                token_ids=tuple(token_ids),
                log_probabilities=tuple(log_probs),
                finished=bool(outputs["finished"]),
                rank=0,
                score=sum(log_probs),
            )
            yield name, [caption]

    return run


def require_agreement(verification: Verification, options: ExportOptions, path: Path) -> None:
    """Raise CaptionTxError if too few captions are equal."""
    if verification.agreement < options.required_agreement:
        raise CaptionTxError(
            f"{path} was not written: {verification}; {options.required_agreement:.0%} must be equal "
            f"(--min-agreement). A higher --precision or more --verify-images may help."
        )
