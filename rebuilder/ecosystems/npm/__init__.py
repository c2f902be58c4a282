"""npm packages: what their registry publishes about them."""
