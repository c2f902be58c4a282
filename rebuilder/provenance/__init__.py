"""Checking what upstream signed about an artifact: offline, against a trust root that is pinned here."""
