"""The functions that `caption_tx` offers and that its commands call: train, tune, features, evaluate, check_corpus."""
