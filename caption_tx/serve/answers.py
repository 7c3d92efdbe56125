"""Answers as JSON documents."""

from __future__ import annotations

import json
from typing import Any

from caption_tx.config import to_dict
from caption_tx.data.images.interpretation import interpretation_notes
from caption_tx.errors import CaptionTxError
from caption_tx.escaping import one_line
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.search.caption import Caption
from caption_tx.serve.models import Answer, ServedBundle
from caption_tx.serve.problems import code_of

_DIGITS = 4


def describe_bundle(bundle: ServedBundle, is_default: bool) -> dict[str, Any]:
    """What a client may want to know about a bundle."""
    captioner = bundle.captioner
    layers, heads = captioner.attention_shape
    return {
        "name": bundle.name,
        "default": is_default,
        "language": bundle.language,
        "words": captioner.tokenizer.vocabulary_size,
        "max_length": captioner.max_length,
        "layers": layers,
        "heads": heads,
        "pool": captioner.pool,
        "search": captioner.decoding.describe(),
        "options": to_dict(captioner.decoding),
    }


def caption_document(caption: Caption) -> dict[str, Any]:
    """A caption with natural log-probabilities."""
    return {
        "text": caption.text,
        "words": list(caption.words),
        "log_probability": round(caption.log_probability, _DIGITS),
        "log_probabilities": [round(value, _DIGITS) for value in caption.log_probabilities],
        "score": round(caption.score, _DIGITS),
        "expected_utility": None if caption.expected_utility is None else round(caption.expected_utility, _DIGITS),
        "finished": caption.finished,
    }


def image_document(name: str, answer: Answer | CaptionTxError) -> dict[str, Any]:
    """The captions of an image and what is read differently from how a viewer shows it, or the error."""
    if isinstance(answer, CaptionTxError):
        return {"name": name, "error": one_line(str(answer)), "code": code_of(answer)}
    notes = [
        {"note": one_line(note), "code": kind}
        for kind, detail in answer.found.items()
        for note in interpretation_notes({kind: {name: detail}}, 1)
    ]
    return {"name": name, "captions": [caption_document(caption) for caption in answer.captions], "notes": notes}


def maps_document(maps: AttentionMaps) -> dict[str, Any]:
    """The raw maps, as `AttentionMaps.to_json` writes them."""
    return json.loads(maps.to_json())
