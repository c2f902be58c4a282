"""Reading, normalising and finishing archives."""
