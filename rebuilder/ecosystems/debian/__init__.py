"""Debian packages: what Debian's archive publishes and signs about them."""
