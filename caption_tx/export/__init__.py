"""Export of bundles: a SavedModel for servers and a LiteRT file for phones and for starting fast."""
