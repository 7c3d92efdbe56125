"""Text processing: word segmentation, the vocabulary, and the tokenizer."""
