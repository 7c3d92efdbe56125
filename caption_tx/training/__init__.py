"""Training: from a caption file to the bundle of the best epoch."""
