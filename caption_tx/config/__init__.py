"""Every setting and its default, declared once. Loads no TensorFlow."""

from caption_tx.config.attention import DEFAULT_POOL, HEATMAP_ALPHA, HEATMAP_CMAP, POOL_NAMES, ExplanationOptions
from caption_tx.config.backbone import NAMED_WEIGHTS, STORAGES, BackboneConfig
from caption_tx.config.boxes import BoxesConfig
from caption_tx.config.corpus import (
    CAPTION_FORMATS,
    CAPTION_PROBLEMS,
    ORIGINS,
    SPLITS,
    CorpusConfig,
    Source,
    parse_source,
)
from caption_tx.config.decoding import SEARCH_IMAGES, DecodingOptions
from caption_tx.config.evaluation import MIN_IMAGES, EvaluationOptions
from caption_tx.config.export import EXPORT_PRECISIONS, EXPORT_TARGETS, ExportOptions
from caption_tx.config.keywords import make_options, split_keywords
from caption_tx.config.model import NORM_ORDERS, ModelConfig
from caption_tx.config.run import Config
from caption_tx.config.serving import LOOPBACK_NAMES, ServingOptions
from caption_tx.config.text import LANGUAGES, SCRIPTS, TextConfig
from caption_tx.config.toml import dump_config, from_dict, load_config, to_dict
from caption_tx.config.training import COMPRESSIONS, MONITORS, PRECISIONS, TrainingConfig
from caption_tx.config.tuning import TuningConfig

__all__ = [
    "CAPTION_FORMATS",
    "CAPTION_PROBLEMS",
    "COMPRESSIONS",
    "DEFAULT_POOL",
    "EXPORT_PRECISIONS",
    "EXPORT_TARGETS",
    "HEATMAP_ALPHA",
    "HEATMAP_CMAP",
    "LANGUAGES",
    "LOOPBACK_NAMES",
    "MIN_IMAGES",
    "MONITORS",
    "NAMED_WEIGHTS",
    "NORM_ORDERS",
    "ORIGINS",
    "POOL_NAMES",
    "PRECISIONS",
    "SCRIPTS",
    "SEARCH_IMAGES",
    "SPLITS",
    "STORAGES",
    "BackboneConfig",
    "BoxesConfig",
    "Config",
    "CorpusConfig",
    "DecodingOptions",
    "EvaluationOptions",
    "ExplanationOptions",
    "ExportOptions",
    "ModelConfig",
    "ServingOptions",
    "Source",
    "TextConfig",
    "TrainingConfig",
    "TuningConfig",
    "dump_config",
    "from_dict",
    "load_config",
    "make_options",
    "parse_source",
    "split_keywords",
    "to_dict",
]
