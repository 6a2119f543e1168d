"""The code in README.md and docs/*.md runs: each page in order, in an empty folder and its own environment.

A block fenced with ```sh is run by bash and must not fail. One fenced with ```python is run in the one namespace of its
page. One that begins with a comment that is the path of a file is written to that file instead, whatever its language
(tests/runtimes runs JavaScript, where there is Node).
What must not run is indented, not fenced.

sybil and pytest-markdown-docs run Python inside pytest's own process, which cannot install a plugin and then use it.
"""

from __future__ import annotations

import doctest
import json
import re
import runpy
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pytest

from zoo import registry
from zoo.spec import ModelSpec

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("*.md") if p.name != "reference.md")]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?:#|//) ([\w./-]+\.\w+)\n")
SECONDS = 900  # for a page
NAMESPACE = """
import json, sys
names = {"__name__": "page"}
for line in sys.stdin:
    number, page, code = json.loads(line)
    exec(compile("\\n" * number + code, page, "exec"), names)
    print("done", number, flush=True)
"""


def blocks(page):
    """(line, language, text) of each fenced block."""
    text = page.read_text()
    return [(text[: m.start()].count("\n") + 1, m[1], m[2]) for m in FENCE.finditer(text)]


class Namespace:
    """A Python process of an environment, in which blocks run one after the other. It begins with the first of them,
    so it sees what was installed before."""

    def __init__(self, environment, folder):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [str(environment.bin / "python"), "-P", "-c", NAMESPACE]
        self.process = subprocess.Popen(command, cwd=folder, env=environment.variables, text=True, **pipes)
        self.clock = threading.Timer(SECONDS, self.process.kill)
        self.clock.start()

    def run(self, line, page, code):
        self.process.stdin.write(json.dumps([line, str(page), code]) + "\n")
        self.process.stdin.flush()
        said = []
        while (text := self.process.stdout.readline()) != f"done {line}\n":
            assert text, f"{page}, line {line}:\n{''.join(said)}"
            said.append(text)

    def close(self):
        self.clock.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_runs(make_environment, tmp_path, page):
    environment, namespace = make_environment(), None
    with ExitStack() as stack:
        for line, language, text in blocks(page):
            target = FILE.match(text)
            if language != "sh" and target:
                (tmp_path / target[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / target[1]).write_text(text)
            elif language == "sh":
                environment.run("bash", "-euo", "pipefail", "-c", text, cwd=tmp_path, timeout=SECONDS)
            else:
                assert language == "python", f"{page}, line {line}: {language!r}; expected sh, python, or a file"
                if namespace is None:
                    namespace = Namespace(environment, tmp_path)
                    stack.callback(namespace.close)
                namespace.run(line, page, text)


ARCHITECTURES = [spec.name for spec in registry.find_models() if isinstance(spec, ModelSpec)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cls = registry.network_class(registry.architecture(name))
    examples = doctest.DocTestParser().get_doctest(cls.__doc__ or "", {}, cls.__name__, None, None)
    assert len(examples.examples) > 1
    said: list[str] = []
    assert doctest.DocTestRunner().run(examples, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_setting_says_what_it_means(name):
    cls = registry.network_class(registry.architecture(name))
    assert [f.name for f in (*fields(cls.Config), *fields(cls.recipe)) if not f.metadata.get("meaning")] == []


def test_the_reference_is_what_docstrings_and_commands_say():
    made = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    assert made["PAGE"].read_text() == made["page"](), "make it anew: python docs/reference.py"
