"""The Python Package Index and everything that speaks its protocol.

How a wheel becomes build definitions; each stage is a module, and reads only what the ones before it gave:

1. *Evidence* (:mod:`.evidence`, :mod:`.simple_index`, :mod:`.archives`): the page of the project (PEP 503,
   691, 700), the wheel, the source archive beside it, and what the sandbox says both hold.
2. *Traces* (:mod:`.wheel_traces`, :mod:`.file_times`, :mod:`.command_line`): what the wheel
   tells of its own build, from ``WHEEL``, ``METADATA``, ``RECORD`` and the members' times and modes
   (https://packaging.python.org/en/latest/specifications/binary-distribution-format/).
3. *Tools* (:mod:`.tools_used`, :mod:`.tool_versions`, :mod:`.requirements`): which build
   backend, in which versions (PEP 517, 518), as the traces and the source's ``pyproject.toml`` have it.
4. *Python* (:mod:`.interpreter_choice`): which interpreters can have run them, likeliest first.
5. *Times and modes* (:mod:`.candidates`): explanations of what the archive stores.
6. *Definition* (:mod:`.build_environment`, :mod:`.build_inputs`): exact requirements from before the upload,
   and all of it in one document that is told at most so many bits
   (docs/adr/0018-nothing-published-steers-the-build.md).
7. *Search* (:mod:`.search`, :mod:`.second_look`): which definition is next, from the attempts recorded so
   far, and what came out for other wheels; what a rebuild that differs shows is tried once more.

:mod:`.hypotheses` walks this way from the source archive, :mod:`.commit_hypotheses` from a commit.
docs/adr/0007-pypi-rebuild.md and docs/adr/0016-bit-for-bit-wheels.md say why.
"""
