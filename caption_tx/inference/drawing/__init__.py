"""Drawing of attention maps: overlays, matplotlib figures and animations."""
