"""Settings of training with boxes: which boxes guide the attention, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import NOT_NEGATIVE, check, setting, validate


@dataclass(frozen=True)
class BoxesConfig:
    """Boxes of objects in the training images, which guide the attention of the words that name them."""

    sources: tuple[str, ...] = setting(
        (),
        "file or folder of boxes that people drew around objects; attention to a word that names boxes is trained to "
        "stay inside them",
        flag="--boxes",
        metavar="FILE",
    )
    word_list: str | None = setting(
        None,
        "word list for boxes with names in another language: a word, a tab and the names it stands for per line",
        flag="--box-words",
        metavar="FILE",
    )
    weight: float = setting(
        1.0, "weight of a word's boxes beside the cross-entropy of the word", flag="--box-weight", bounds=NOT_NEGATIVE
    )
    guided_layers: tuple[int, ...] = setting(
        (), "layers whose attention is guided, counted from 0; empty for all", metavar="N,.."
    )
    guided_heads: int = setting(0, "how many heads of each layer are guided; 0 for all", bounds=NOT_NEGATIVE)
    each_head: bool = setting(False, "guide each head on its own instead of the mean over the heads")
    from_epoch: int = setting(0, "epochs of training without boxes before the first with them", bounds=NOT_NEGATIVE)

    def __post_init__(self) -> None:
        validate(self, "boxes.")
        check(
            self.word_list is None or bool(self.sources),
            "boxes.word_list",
            self.word_list,
            "unset without boxes.sources (--boxes)",
        )
