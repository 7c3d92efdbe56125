"""From caption and image files to batches: corpus, segmentation, tokenizer, features, pipeline, scenes."""
