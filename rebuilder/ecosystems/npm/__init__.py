"""npm packages: what their registry publishes about them, and how they are rebuilt from their commits."""
