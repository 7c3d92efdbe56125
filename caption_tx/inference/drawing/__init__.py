"""Attention maps as pictures: overlays, figures and animations."""
