"""Checks for problems in the captions and images of a corpus, and the report."""
