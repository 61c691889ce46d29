"""The examples in the documents are run by the tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


@pytest.fixture(scope="module")
def document_folder() -> Iterator[None]:
    """A folder of its own for each document, so that `Path("workspace")` is a new one."""
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        yield
        os.chdir(before)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/design/privacy.md"],
    fixtures=["document_folder"],
).pytest()
