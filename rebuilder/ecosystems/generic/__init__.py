"""Release files that no registry carries, rebuilt as a recipe says."""
