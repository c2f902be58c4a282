"""Which sandbox programs are run together: each family is packed as one application, ``/tools/FAMILY.pyz``."""

from __future__ import annotations

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
    "debian": ("debian.read_changelog", "debian.compare_traces"),
    # Making a tree of an image that somebody gave.
    "image": ("image.unpack_image",),
    # All that the build definition of an npm tarball runs.
    "npm": (
        *("source.checkout", "npm.tools", "npm.install", "npm.scripts", "npm.set_version", "npm.pack"),
        *("npm.read_packer", "source.reverse_tree"),
    ),
    # All that the build definition of a wheel or a source archive runs.
    "pypi": (
        *("archive.unpack", "source.checkout", "source.reverse_tree", "pypi.build_sdist", "pypi.build_wheel"),
        *("pypi.build_without_compiling", "pypi.as_debian", "pypi.as_python_2", "pypi.as_python"),
        *("pypi.as_temporary", "pypi.as_version", "pypi.as_windows"),
    ),
    # Making a source tree, for builds that need no program of ours besides.
    "source": ("archive.unpack", "source.checkout", "source.reverse_tree"),
}

PROGRAMS = {
    family: {module.rpartition(".")[2]: module for module in (*modules, "bytecode")}
    for family, modules in _FAMILIES.items()
}
"""By family: each program, and its module below ``rebuilder.programs``."""
