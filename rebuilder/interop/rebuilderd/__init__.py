"""What rebuilderd's clients read, and what other instances of it sign (docs/interop.md)."""
