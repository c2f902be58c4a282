"""Programs that run inside the sandbox, on the build environment's Python (3.9 or newer).

They use the standard library only and import nothing else of the rebuilder. A folder with a ``__main__`` is a
*family*: its table :data:`PROGRAMS` says which programs go together. Each family is packed as one zip application,
``/tools/FAMILY.pyz``, with the modules its programs import and no others, and is an input of a run like any other.
So the digest of a build definition changes with the programs that the build runs, and with nothing else.
"""
