"""Names of the ways to combine attention maps."""

POOL_NAMES = ("mean", "max", "spread", "rollout")
"""Ways to combine the maps of all layers and heads into one (`inference/attention/pooling.py`)."""
