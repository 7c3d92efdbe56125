"""Attention maps of captions: teacher-forced scores, pooling, files and health checks."""
