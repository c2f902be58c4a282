"""The published site: page models and rendering."""
