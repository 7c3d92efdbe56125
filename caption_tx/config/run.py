"""All settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from caption_tx.config.backbone import BackboneConfig
from caption_tx.config.boxes import BoxesConfig
from caption_tx.config.corpus import CorpusConfig
from caption_tx.config.model import ModelConfig
from caption_tx.config.text import TextConfig
from caption_tx.config.training import TrainingConfig
from caption_tx.errors import ConfigError


@dataclass(frozen=True)
class Config:
    """All settings of a run: the contents of `config.toml` in its workdir."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    text: TextConfig = field(default_factory=TextConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)

    def __post_init__(self) -> None:
        if self.model.freeze_embeddings and self.text.word_vectors is None:
            raise ConfigError("model.freeze_embeddings requires word vectors; set text.word_vectors.")
        if outside := [layer for layer in self.boxes.guided_layers if not 0 <= layer < self.model.num_layers]:
            raise ConfigError(
                f"boxes.guided_layers names layer {outside[0]}, but the model has {self.model.num_layers} layers."
            )
        if self.boxes.guided_heads > self.model.num_heads:
            raise ConfigError(
                f"boxes.guided_heads is {self.boxes.guided_heads}, but the model has {self.model.num_heads} heads."
            )

    def resolved(self) -> Config:
        """These settings with values for those that depend on others (`TrainingConfig.resolved`)."""
        return replace(self, training=self.training.resolved())
