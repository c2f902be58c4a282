"""What each member of a wheel is accounted for with, by the source archive beside it."""
