"""Readers of caption formats, one module per family of layouts; `formats.READERS` registers them."""
