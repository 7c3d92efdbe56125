"""Rendered scenes with captions and object masks: a corpus that needs no download."""
