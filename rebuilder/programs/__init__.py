"""Programs that run inside the sandbox, on the build environment's Python (3.9 or newer).

They use the standard library only and import nothing else of the rebuilder. A *family* is a line of
:mod:`rebuilder.programs.families` that says which programs go together. Each is packed as one zip application,
``/tools/FAMILY.pyz``, with the modules its programs import and no others, and is an input of a run like any other.
So the digest of a build definition changes with the programs that the build runs, and with nothing else.
"""
