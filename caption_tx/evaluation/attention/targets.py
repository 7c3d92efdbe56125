"""Finds the objects of a rendered scene that the words of a caption name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caption_tx.data.scenes.captions import named_objects, word_class
from caption_tx.data.scenes.objects import SceneObject

WORD_CLASSES = ("shape", "color", "relation")
"""Classes of words that are measured."""


@dataclass(frozen=True)
class WordTarget:
    """A word of a caption and the objects it refers to.

    Attributes:
        position: of the word in the caption, from 0.
        word_class: one of `WORD_CLASSES`.
        objects: indices of the objects in the scene.
    """

    position: int
    word_class: str
    objects: tuple[int, ...]


def find_targets(words: Sequence[str], objects: Sequence[SceneObject], language: str) -> list[WordTarget]:
    """The words of a segmented caption that refer to objects of the scene.

    A shape or color word refers to its object. A relation word ("left", "above", "row") refers to all objects
    that the caption names. If the caption names a single object, a relation word gives a position in the image
    and is skipped. Words of objects that are not in the scene are skipped too.
    """
    object_of_word = named_objects(words, objects, language)
    named = tuple(sorted({index for index in object_of_word if index is not None}))
    targets = []
    for position, (word, index) in enumerate(zip(words, object_of_word, strict=True)):
        kind = word_class(word, language)
        if index is not None:
            targets.append(WordTarget(position, str(kind), (index,)))
        elif kind == "relation" and len(named) > 1:
            targets.append(WordTarget(position, kind, named))
    return targets
