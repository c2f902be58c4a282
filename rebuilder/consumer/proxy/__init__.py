"""A package index in front of another one, which hands out only what a policy lets through."""
