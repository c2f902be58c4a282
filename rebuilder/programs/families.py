"""Which sandbox programs are run together: each family is packed as one application, ``/tools/FAMILY.pyz``."""

from __future__ import annotations

import re

_FAMILIES = {
    # The members of a wheel, each with what accounts for it; those of a tarball by git's names.
    "account": ("account.account_for_wheel", "account.list_tarball"),
    # Listing an archive, and writing recorded values into a rebuilt one.
    "archive": ("archive.inspect_archive", "archive.finish_archive"),
    # What the compiled files in an archive say, and how far compiling them again gives the same.
    "binary": ("binary.read_binaries", "binary.compare_binaries"),
    # Comparing two archives, and looking for the published file among the inputs.
    "compare": ("compare.compare_archives", "compare.find_published"),
    # What packages say of their own build.
    "debian": ("debian.compare_traces:read_changelog", "debian.compare_traces"),
    # Making a tree of an image that somebody gave.
    "image": ("image.unpack_image",),
    # All that the build definition of an npm tarball runs.
    "npm": (
        *(
            "source.checkout",
            "npm.tools",
            "npm.install",
            "npm.package:scripts",
            "npm.package:set_version",
            "npm.package:pack",
        ),
        *("npm.read_packer", "source.checkout:reverse_tree"),
    ),
    # All that the build definition of a wheel or a source archive runs.
    "pypi": (
        *("archive.unpack", "source.checkout", "source.checkout:reverse_tree", "pypi.frontend:build_without_compiling"),
        *("pypi.frontend:build_sdist", "pypi.frontend:build_wheel", "pypi.elsewhere:as_debian"),
        *("pypi.elsewhere:as_python_2", "pypi.elsewhere:as_python", "pypi.elsewhere:as_temporary"),
        *("pypi.elsewhere:as_version", "pypi.elsewhere:as_windows"),
    ),
    # Making a source tree, for builds that need no program of ours besides.
    "source": ("archive.unpack", "source.checkout", "source.checkout:reverse_tree"),
}

PROGRAMS = {
    family: {re.split("[.:]", place)[-1]: place for place in (*places, "bytecode")}
    for family, places in _FAMILIES.items()
}
"""By family: each program, and its module below ``rebuilder.programs``; behind a colon, its function, or ``main``."""
