"""The selections of layers, heads and poolings whose maps are compared, and their names in tables."""

from __future__ import annotations

from caption_tx.config import POOL_NAMES
from caption_tx.inference.attention.pooling import MapSelection


def pooled_selections() -> list[MapSelection]:
    """Every pooling over all layers and heads."""
    return [MapSelection(pool=name) for name in POOL_NAMES]


def pooled_by_name() -> dict[str, MapSelection]:
    """`pooled_selections` by the names of the poolings."""
    return {selection.pool: selection for selection in pooled_selections()}


def layer_selections(num_layers: int) -> list[MapSelection]:
    """The mean over the heads of each layer."""
    return [MapSelection(layer=layer) for layer in range(num_layers)]


def all_selections(num_layers: int, num_heads: int) -> list[MapSelection]:
    """Every pooling, the mean of each layer, and each single head."""
    single = [MapSelection(layer=layer, head=head) for layer in range(num_layers) for head in (None, *range(num_heads))]
    return pooled_selections() + single


def selection_name(selection: MapSelection) -> str:
    """The name in tables: `mean`, `layer 0 mean` or `layer 0 head 2`."""
    if selection.layer is None:
        return selection.pool
    return f"layer {selection.layer} " + (selection.pool if selection.head is None else f"head {selection.head}")
