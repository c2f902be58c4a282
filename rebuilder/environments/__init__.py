"""Making and verifying read-only root file systems."""
