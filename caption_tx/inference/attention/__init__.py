"""Attention maps: teacher-forced scores, pooling, files and health checks."""
