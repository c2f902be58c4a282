"""Programs that run inside the sandbox, on the toolchain's Python (3.9 or newer).

They use the standard library only and import nothing else of the rebuilder: packed as one zip application they
are an input of every run, with a digest like any other.
"""
