"""What is known of the causes of differences between wheels, and between source archives of Python projects."""

from __future__ import annotations

import re

from rebuilder.diagnose.case import EcosystemRules
from rebuilder.ecosystems.pypi import failure_rules, packing_rules, version_rules, wheel_rules
from rebuilder.ecosystems.pypi.file_times import INFO, metadata_file
from rebuilder.model.diagnosis import Cause

_LEFT = re.compile(
    r"(?:^|/)(?:__pycache__|\.(?:pytest|mypy|ruff)_cache|\.(?:tox|nox|eggs)|build/(?:lib|bdist)[^/]*)/"
    r"|(?:^|/)[^/]+\.egg-info(?:/|$)|(?:^|/)\.coverage$|\.(?:pyc|pyo)$"
)


def _source_name(member: str) -> str:
    """Licence files are copied into ``.dist-info``, those of today into a directory there."""
    inside = INFO.sub("", member)
    return inside.removeprefix("licenses/") if inside != member else member


RULES = EcosystemRules(
    rules={
        "extension": failure_rules.extension,
        "version": version_rules.other_version,
        "generator": wheel_rules.generator,
        "record": wheel_rules.record,
        "tags": wheel_rules.tags,
        "compiled": packing_rules.compiled,
        "other-case": packing_rules.other_case,
        "namespace-files": packing_rules.namespace_files,
        "licences": packing_rules.licences,
        "configured": packing_rules.configured,
        "interpreter": wheel_rules.interpreter,
        "major-version": wheel_rules.major_version,
        "top-level": wheel_rules.top_level,
        "metadata-form": wheel_rules.metadata_form,
        "declared": wheel_rules.declared,
    },
    advice={
        Cause.TOOL_VERSION: "Pin the build backend to an exact version in build-system.requires of pyproject.toml.",
        Cause.NAME_OR_TAG: (
            "Put such options into the project's configuration (setup.cfg or pyproject.toml), not on the command line."
        ),
        Cause.OTHER_VERSION: (
            "Put the version into a file of the source archive, or declare the tool that sets it in "
            "build-system.requires, so that every build of the archive has it."
        ),
        Cause.STALE_FILES: (
            "Build releases in a fresh checkout without build directories (build/, *.egg-info, __pycache__), best from "
            "the source archive, as python -m build does."
        ),
        Cause.MISSING_INTERPRETER: "A build environment with an older Python, see interpreters in the settings.",
        Cause.MISSING_REQUIREMENT: (
            "List it in build-system.requires of pyproject.toml; if it is a file of the project itself, name it in "
            "MANIFEST.in."
        ),
        Cause.INCOMPLETE_SOURCE: (
            "Name it in MANIFEST.in, and build the published file from the source archive, as python -m build does."
        ),
    },
    consequences=wheel_rules.consequences,
    hints=failure_rules.hints,
    endings=failure_rules.ENDINGS,
    description=INFO,
    is_inventory=lambda member: metadata_file(member, "RECORD"),
    source_name=_source_name,
    leftovers=_LEFT,
    generated=("_version.py", "/version.py", "_pb2.py", ".pyd"),
    keeping=frozenset({"setuptools", "distribute"}),
)
