"""Other rebuilders: their formats, read and written; what several rebuilders say together."""
