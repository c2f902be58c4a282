"""Rebuilt files against published files."""
