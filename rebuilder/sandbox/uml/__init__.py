"""A kernel of its own, with a clock that can be set, inside the namespaces."""
