"""Boxes that people drew around objects: files, the words that name them, and their share of each grid cell."""
