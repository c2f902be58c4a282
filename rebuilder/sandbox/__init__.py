"""Where build definitions run."""
