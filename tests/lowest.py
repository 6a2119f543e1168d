"""The lowest versions that genzoo's distributions support, as constraints for pip: `make lowest` runs tests
with these. What constraints.txt names is left out: it is one version for everything."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("exporters/*/pyproject.toml")]


def lowest() -> dict[str, Version]:
    """The highest of the lower bounds of each name."""
    found: dict[str, Version] = {}
    for path in PROJECTS:
        project = tomllib.loads(path.read_text())["project"]
        for line in chain(project["dependencies"], *project.get("optional-dependencies", {}).values()):
            requirement = Requirement(line)
            for bound in (s for s in requirement.specifier if s.operator == ">="):
                name = canonicalize_name(requirement.name)
                found[name] = max(found.get(name, Version("0")), Version(bound.version))
    return found


if __name__ == "__main__":
    pinned = {canonicalize_name(Requirement(line).name) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for name, version in sorted(lowest().items()):
        if name not in pinned:
            print(f"{name}=={version}")
