"""The snippets of a document, and the regions of the files that they say they come from."""

import re
import textwrap
from dataclasses import dataclass

from tests.app import ROOT

FENCE = re.compile(r"(?:<!-- (?P<file>\S+)#(?P<region>\w+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A piece of code in a document."""

    language: str
    text: str
    file: str | None
    region: str | None


def snippets(document: str) -> list[Snippet]:
    """All that are in a document, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [Snippet(found["language"], found["text"], found["file"], found["region"]) for found in FENCE.finditer(text)]


def region(file: str, name: str) -> str:
    """A marked region of a file, as far to the left as it goes."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"^ *(?:#|//) region {name}\n(.*?)^ *(?:#|//) endregion", text, re.DOTALL | re.MULTILINE)
    assert found, f"{file} has no region {name}"
    return textwrap.dedent(found[1]).strip("\n") + "\n"
