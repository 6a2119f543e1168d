"""The conformance suite: is a model what it says it is? For authors of plugins; knows no framework.

    from zoo.testing import conformance

    test_conformance = conformance("my-plugin")

makes one pytest test for each architecture and preset of the distribution `my-plugin` and each check that applies to
it. Needs `pip install 'genzoo[testing]'`.
"""

from __future__ import annotations

from zoo.testing.check import CHECKS, Nonconformance, NotApplicable
from zoo.testing.subject import Subject
from zoo.testing.suite import conformance

__all__ = ["CHECKS", "Nonconformance", "NotApplicable", "Subject", "conformance"]
