"""One folder per package ecosystem; ``registry`` lists them."""
