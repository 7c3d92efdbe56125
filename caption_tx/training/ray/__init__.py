"""Encoding and training on a Ray cluster (extra `ray`)."""
