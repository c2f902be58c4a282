"""The Python Package Index and everything that speaks its protocol."""
