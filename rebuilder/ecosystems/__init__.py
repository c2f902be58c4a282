"""One folder per package ecosystem; ``catalog`` lists them."""
