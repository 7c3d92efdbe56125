"""Text: segmentation into words, the vocabulary and the tokenizer."""
