"""Rules that say why a rebuild is not the published file."""
