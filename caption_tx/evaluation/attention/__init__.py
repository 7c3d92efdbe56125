"""Measures whether attention maps lie on the named objects, and whether the model uses what they show."""
