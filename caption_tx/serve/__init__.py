"""Captions and attention maps over HTTP: an engine that batches requests, an API and a web page."""
