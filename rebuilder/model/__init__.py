"""Frozen values that every part of the rebuilder shares; nothing here does input or output."""
