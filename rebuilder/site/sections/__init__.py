"""The parts of an artifact's page, as values."""
