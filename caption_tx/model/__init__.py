"""The decoder network: keras, numpy and einops only; no tokenizer, no paths."""
