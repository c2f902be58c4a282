"""Comparing archives, and looking for the published file among the inputs of its build."""
