"""Cells of a caption column -> the captions of a row, without markup, marks and what other programs added."""
