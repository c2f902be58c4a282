"""Sandbox programs that take in a root file system which somebody gave."""
