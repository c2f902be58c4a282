"""Source trees: a commit checked out, a tree listed in another order."""
