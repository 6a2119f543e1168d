"""The conformance suite: is a model what it says it is? For authors of plugins; knows no framework.

    from zoo.testing import conformance

    test_conformance = conformance("my-plugin")

makes one pytest test for each architecture and preset of the distribution `my-plugin` and each check that applies to
it. `check_network(Mine, zoo.Real(2))` runs the checks on a class that need not be installed, and prints a line each.
Needs `pip install 'genzoo[testing]'`.
"""

from __future__ import annotations

from zoo.testing.check import Nonconformance, NoPower, NotApplicable, Result
from zoo.testing.checks import CHECKS
from zoo.testing.subject import Subject
from zoo.testing.suite import check_network, conformance, network_checks

__all__ = [
    "CHECKS",
    "NoPower",
    "Nonconformance",
    "NotApplicable",
    "Result",
    "Subject",
    "check_network",
    "conformance",
    "network_checks",
]
