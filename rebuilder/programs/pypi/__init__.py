"""Building Python distributions."""
