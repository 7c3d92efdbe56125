"""How good captions and attention maps are: measured, with intervals."""
