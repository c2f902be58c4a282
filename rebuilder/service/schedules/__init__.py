"""Schedules: what is watched, how often, and how thoroughly, as an operator wrote it in TOML files."""
