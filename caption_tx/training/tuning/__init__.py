"""Fine-tuning with a CIDEr reward (self-critical training)."""
