"""The documents against the code: what exists is documented, and what is documented exists."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from secure_api import cli, errors
from secure_api.audit import EventName
from secure_api.pipeline.stages import STAGES
from secure_api.settings import PROJECT_ROOT, Settings

DOCS = PROJECT_ROOT / "docs"
OPERATIONS = DOCS / "operations.md"
NEVER_SERVED = {errors.StartupError.slug}  # these end the process, so no response names them

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[\s/])(make|secure-api|idp-mock) +(\S.*)")
_PATH = re.compile(
    r"(?:secure_api|idp_mock|config|policies|docs|tests|examples|requirements|benchmarks|deploy)/[\w./-]*"
)


def documents() -> list[Path]:
    """Every Markdown file of the checkout, whatever tool folders lie beside it."""
    found = [*PROJECT_ROOT.glob("*.md")]
    for folder in PROJECT_ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name != "test-results":
            found += folder.rglob("*.md")
    return sorted(path for path in found if "node_modules" not in path.parts)


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


def subclasses_of(kind: type[errors.SecureApiError]) -> Iterator[type[errors.SecureApiError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from subclasses_of(inner)


def served_errors() -> dict[str, set[str]]:
    """Slug → the titles that responses with it carry."""
    titles: dict[str, set[str]] = {}
    for kind in subclasses_of(errors.SecureApiError):
        if kind.slug not in NEVER_SERVED and kind.__module__ == errors.__name__:
            titles.setdefault(kind.slug, set()).add(kind.title)
    return titles


def anchors_of(path: Path) -> set[str]:
    """The anchors that a renderer makes of the headings."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def code_of(path: Path) -> list[str]:
    """Every line of a fenced block, and every inline code span."""
    text = path.read_text(encoding="utf-8")
    blocks = [line for block in _FENCE.findall(text) for line in block.splitlines()[1:-1]]
    return blocks + _SPAN.findall(_FENCE.sub("", text))


def commands_of(path: Path, name: str) -> list[list[str]]:
    """The words after each `name` that stands as a command; what follows `#` is a comment."""
    matches = (_COMMAND.search(line.partition("#")[0]) for line in code_of(path))
    return [match.group(2).split() for match in matches if match and match.group(1) == name]


# --- errors, events, settings, stages -----------------------------------------------------------------


def test_every_error_type_has_a_page_under_its_own_title() -> None:
    """The `type` of a problem leads to a page whose heading is the problem's title."""
    for slug, titles in served_errors().items():
        page = DOCS / "problems" / f"{slug}.md"
        assert page.is_file(), f"docs/problems/{slug}.md is missing"
        heading, *paragraphs = page.read_text(encoding="utf-8").strip().split("\n\n")
        assert heading.removeprefix("# ") in titles, f"{slug}: the heading is {heading!r}, the title is {titles}"
        assert paragraphs, f"{slug}: the page says nothing"


def test_no_page_explains_an_error_that_nobody_raises() -> None:
    """A page that outlived its error misleads."""
    pages = {page.stem for page in (DOCS / "problems").glob("*.md")}

    assert pages == served_errors().keys()


def test_the_problem_pages_are_plain_text() -> None:
    """The server shows them as paragraphs and reads no markup."""
    for page in (DOCS / "problems").glob("*.md"):
        body = page.read_text(encoding="utf-8").partition("\n")[2]
        assert not re.search(r"[`*\[\]<>|]|^[#-]", body, re.MULTILINE), f"{named(page)} holds markup"


def test_every_audit_event_is_in_the_operations_table() -> None:
    """Whoever searches the log finds each name explained."""
    text = OPERATIONS.read_text(encoding="utf-8")

    assert [event.value for event in EventName if f"| `{event.value}` |" not in text] == []


def test_every_setting_is_documented_with_its_variable() -> None:
    """Whoever deploys finds each key, and the variable that sets it, in one table."""
    rows = [line for line in OPERATIONS.read_text(encoding="utf-8").splitlines() if line.startswith("| `SECURE_API_")]
    documented = {row.split("|")[1].strip(" `") for row in rows}
    keys = {field.name for field in dataclasses.fields(Settings)} - {"environment", "variables"}
    known = {f"SECURE_API_{key.upper()}" for key in keys} | {"SECURE_API_ENV", "SECURE_API_CONFIG"}

    assert documented == known
    for row in rows:
        _, variable, key, *_ = (cell.strip(" `") for cell in row.split("|"))
        assert key in {"–", "never in a file"} or f"SECURE_API_{key.upper()}" == variable, row


def test_every_key_of_a_providers_table_is_documented() -> None:
    """The providers file promises that each key is explained."""
    source = (PROJECT_ROOT / "secure_api" / "credentials" / "providers.py").read_text(encoding="utf-8")
    readers = r"(?:text|required_text|texts|flag|choice|seconds|path|table|text_table)"
    keys = set(re.findall(rf"\b(?:reader|table)\.{readers}\(\s*\"(\w+)\"", source))
    text = (DOCS / "identity-providers.md").read_text(encoding="utf-8")

    assert len(keys) > 20, "the pattern no longer finds the keys"
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_the_stages_are_documented_in_their_order() -> None:
    """The table of the request path is the table of the code."""
    text = (DOCS / "request-path.md").read_text(encoding="utf-8")
    section = text.partition("## The stages")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == [stage.name for stage in STAGES]


# --- links and paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize("document", documents(), ids=named)
def test_no_relative_link_is_dead(document: Path) -> None:
    """Each link to a file of the checkout leads to one, and to a heading that is there."""
    text = _SPAN.sub("", _FENCE.sub("", document.read_text(encoding="utf-8")))
    dead = []
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            dead.append(target)

    assert dead == []


@pytest.mark.parametrize("document", documents(), ids=named)
def test_no_named_file_is_missing(document: Path) -> None:
    """A path of this repository in code type names something that exists."""
    spans = _SPAN.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))
    paths = [span for span in spans if _PATH.fullmatch(span)]

    assert [path for path in paths if not (PROJECT_ROOT / path).exists()] == []


# --- commands -----------------------------------------------------------------------------------------

# Other documents tell the reader to run commands as well; the README is the one that must not be without.
WITH_COMMANDS = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", OPERATIONS, DOCS / "policies.md"]


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=named)
def test_every_make_target_named_exists(document: Path) -> None:
    """`make` followed by a word is a target of the Makefile."""
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named_targets = {word for words in commands_of(document, "make") for word in words[:1]}

    assert named_targets <= targets, f"no such target: {sorted(named_targets - targets)}"


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=named)
def test_every_secure_api_command_named_exists(document: Path) -> None:
    """`secure-api` followed by words is a command, with options that its help lists."""
    for words in commands_of(document, "secure-api"):
        command: click.Command = cli.main
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            found = command.commands.get(name)
            assert found is not None, f"secure-api {' '.join(words)}: there is no {name!r}"
            command = found
        shown = command.get_help(click.Context(command, help_option_names=["-h", "--help"]))
        for option in (word.partition("=")[0] for word in rest if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown), f"{words}: no option {option}"


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=named)
def test_every_idp_mock_command_named_exists(document: Path) -> None:
    """`idp-mock` followed by words is a command, with options that its help lists."""
    for words in commands_of(document, "idp-mock"):
        shown = subprocess.run(
            [sys.executable, "-m", "idp_mock", words[0], "--help"], capture_output=True, text=True, check=False
        )
        assert shown.returncode == 0, f"idp-mock {words[0]}: {shown.stderr}"
        for option in (word.partition("=")[0] for word in words[1:] if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown.stdout), f"{words}: no option {option}"


def test_the_readme_names_the_commands_that_matter() -> None:
    """The two commands and the policy check are found by the patterns above, so those tests test something."""
    readme = PROJECT_ROOT / "README.md"
    targets = {word for words in commands_of(readme, "make") for word in words[:1]}

    assert {"demo", "test", "help"} <= targets
    assert ["policy", "check"] in commands_of(readme, "secure-api")
