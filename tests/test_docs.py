"""Fail where README.md or docs/ name commands, options, files or links that are not there."""

import ast
import re
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest

import mcnn_keras
from mcnn_keras.cli import cli

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MOST_LINES = 130


def name_of(page):
    return str(page.relative_to(ROOT))


def commands_of_fences(text):
    """The shell commands of a page's code blocks, one string each."""
    for kind, block in FENCE.findall(text):
        if kind == "sh":
            joined = block.replace("\\\n", " ")
            lines = (line for line in joined.splitlines() if not line.startswith("#"))
            yield from (part.strip() for line in lines for part in line.split("&&"))


def code_of_sentences(text):
    """What stands between backticks outside of the code blocks, each on one line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def leaf(words):
    """The command that words name, and the words after its name."""
    command, context = cli, click.Context(cli, info_name="mcnn-keras")
    words = list(words)
    flags = {name for parameter in cli.params for name in parameter.opts}
    while len(words) > 1 and words[0] in flags:  # those of every command, which stand before it
        words.pop(0)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{command.name} has no command {words[0]}"
        command, context = found, click.Context(found, context, info_name=words.pop(0))
    return command, context, words


def require_options(words):
    """Fails where a word is an option that the command does not have."""
    command, context, rest = leaf(words)
    known = {
        name
        for parameter in command.get_params(context)
        for name in [*parameter.opts, *parameter.secondary_opts]
    }
    given = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    assert set(given) <= known, f"{command.name} has no {sorted(set(given) - known)}"


@pytest.fixture
def deblur(monkeypatch):
    """The problem that the pages offer from another package, as if that were installed."""
    point = EntryPoint("deblur", "my_package:Deblur", "mcnn_keras.problems")
    monkeypatch.setattr("mcnn_keras.problems.offered", lambda: {"deblur": point})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_taken_as_they_stand(page, deblur):
    """Fails where the command line would refuse a command of a code block."""
    for line in commands_of_fences(page.read_text()):
        words = shlex.split(line)
        if not words or words[0] != "mcnn-keras":
            continue
        command, _, rest = leaf(words[1:])
        require_options(words[1:])
        if not isinstance(command, click.Group):
            command.make_context(command.name, rest)  # reads every value; runs nothing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_sentences_exist(page, deblur):
    """Fails where a sentence names a command or an option of one that is not there."""
    for code in code_of_sentences(page.read_text()):
        words = code.split()
        if words[0] == "mcnn-keras" and words[1:2] not in (["COMMAND"], []):
            require_options(words[1:])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("train phase --defocsu -108", "defocsu"),
        ("--quite models", "quite"),
        ("retrieve a.tif", "no command retrieve"),
    ],
)
def test_wrong_commands_are_noticed(words, what):
    """Fails where this file's own check passes an option or a command that is not there."""
    with pytest.raises(AssertionError, match=what):
        require_options(words.split())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scripts_exist_and_have_the_options(page):
    """Fails where an experiment or a tool that a page names, or an option of it, is not there."""
    text = page.read_text()
    for code in [*commands_of_fences(text), *code_of_sentences(text)]:
        for script in re.findall(r"\b(?:experiments|data_tools)/[\w./]+\.\w+", code):
            assert (ROOT / script).is_file(), script
            if not code.removeprefix("python ").startswith(script):
                continue
            source = (ROOT / script).read_text()
            if "cli.problems" in source:  # it takes the options of the problems, too
                source += "".join(
                    (ROOT / "mcnn_keras" / "cli" / f"{name}.py").read_text()
                    for name in ("options", "problems")
                )
            for option in re.findall(r"(?<=\s)--[a-z-]+", code):
                assert f'"{option}"' in source, f"{script} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """Fails where a relative link or picture of a page is not there."""
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    for target in targets:
        if not re.match(r"https?:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), target


def texts_of_the_package():
    """All strings of the source; three dots stand for what they are filled with."""
    for path in Path(mcnn_keras.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_messages_explained_are_those_of_the_package():
    """Fails where troubleshooting explains a message that the package does not write."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    explained = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert len(explained) >= 20
    texts = [" ".join(text.split()) for text in texts_of_the_package()]
    for message in explained:
        parts = [part.strip() for part in message.split("...")]
        wanted = re.compile(".*".join(re.escape(part) for part in parts if part.strip(" ,;")))
        assert any(wanted.search(text) for text in texts), message


def test_the_menu_lists_every_page():
    """Fails where mkdocs.yml leaves a page out, or lists one that is not there."""
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(p.relative_to(ROOT / "docs")) for p in PAGES[1:])


def test_the_readme_stays_short():
    """Fails where the README grows: what is longer belongs to docs/."""
    assert len(README.read_text().splitlines()) <= MOST_LINES
