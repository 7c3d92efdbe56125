"""Attention maps as one interactive HTML page: card data, UI strings and templates."""
