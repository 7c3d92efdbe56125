"""Attention maps as one interactive HTML page."""
