"""Statements, envelopes and keys."""
