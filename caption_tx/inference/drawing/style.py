"""The look of a heatmap, shared by figures, animations and the HTML page."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config import HEATMAP_ALPHA, HEATMAP_CMAP

UNIT = "attention per cell (sum over cells = 1)"
"""Label of the color bar when all maps share one scale and no other unit is given."""

RELATIVE_UNIT = "share of the word's own maximum"
"""Label of the color bar, from 0 to 1, when each map is divided by its own maximum."""


@dataclass(frozen=True)
class HeatmapStyle:
    """How attention maps are drawn over a photograph.

    Attributes:
        alpha: opacity of the strongest attention, in (0, 1]; weaker attention is more transparent.
        cmap: name of a matplotlib color map. The default is perceptually uniform, and its brightness
            increases in the same order for every kind of color vision.
        common_scale: use one color scale for all maps; otherwise divide each map by its own maximum.
        smooth: spread every cell over its surroundings, see `spline`; otherwise draw each cell in one color.
        unit: label of the color bar when the scale is common.
        font_path: font file for all text; None finds one that has every character.

    Example:

        style = HeatmapStyle(alpha=0.5, cmap="viridis")
    """

    alpha: float = HEATMAP_ALPHA
    cmap: str = HEATMAP_CMAP
    common_scale: bool = True
    smooth: bool = True
    unit: str = UNIT
    font_path: str | None = None

    @property
    def bar_label(self) -> str:
        """Label of the color bar."""
        return self.unit if self.common_scale else RELATIVE_UNIT


DEFAULT_STYLE = HeatmapStyle()
