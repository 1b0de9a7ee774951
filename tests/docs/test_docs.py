"""The pages say what the code does: every setting is described, every link leads somewhere, every command exists."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headroom.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "docker" / "README.md"]
PLACEHOLDERS = {"regions": "<region>", "services": "<service>", "metrics": "<metric>", "failures": "<machine_type>"}
CODE = re.compile(r"^ *(`{3,})[^\n]*\n(?P<block>.*?)^ *\1\s*$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")


def settings_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield key, field
        for container, nested in models_in(field.annotation):
            yield from settings_keys(nested, key + {"": ".", "list": "[].", "dict": f".{PLACEHOLDERS.get(name)}."}[container])


def models_in(annotation: object, container: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models of an annotation, each with the container it is in: nothing, a list or a dict."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and origin is None and issubclass(annotation, BaseModel):
        yield container, annotation
    elif origin is typing.Annotated:
        yield from models_in(parts[0], container)
    elif origin in (typing.Union, types.UnionType):
        for part in parts:
            yield from models_in(part, container)
    elif origin in (list, dict):
        yield from models_in(parts[-1], origin.__name__)


def described_keys() -> dict[str, str]:
    """Key -> its default, from the tables of docs/settings.md."""
    found = {}
    header: list[str] = []
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| "):
            continue
        if cells[0] in ("key", "variable", "secret"):
            header = cells
        elif header[0] == "key":
            found[cells[0].strip("`")] = cells[header.index("default")]
    return found


def as_written(field: FieldInfo, key: str) -> str:
    """How the table writes a default."""
    if field.is_required() or key.endswith("].kind"):  # the tag of a union must be given
        return "required"
    default = field.default
    if default is None:
        return "none"
    if isinstance(default, BaseModel):
        return "all defaults"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict):
        return "`{" + ", ".join(f"{name}: {value:g}" for name, value in default.items()) + "}`"
    if isinstance(default, list):
        return f"`[{', '.join(default)}]`"
    return f"`{default}`"


def test_every_setting_is_described_with_its_default() -> None:
    described = described_keys()
    expected = {key: as_written(field, key) for key, field in settings_keys()}
    assert described == expected


def test_every_environment_variable_is_described() -> None:
    sources = [path for package in ("headroom", "plugins", "dags") for path in (ROOT / package).rglob("*.py")]
    used = {name for path in sources for name in re.findall(r'"(HEADROOM_(?!STACK)[A-Z_]*[A-Z]|MLFLOW_TRACKING_URI)"', path.read_text())}
    described = set(re.findall(r"^\| `([A-Z_]+)` ", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE))
    assert used <= described, f"docs/settings.md lacks {sorted(used - described)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text())
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    folders = "headroom|feature_store|models|infra|plugins|dags|tests|docs|docker|demo"
    named = {name for name in INLINE.findall(CODE.sub("", page.read_text())) if re.fullmatch(rf"({folders})/[\w./-]*", name)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    commands = "\n".join([*(match["block"] for match in CODE.finditer(text)), *INLINE.findall(CODE.sub("", text))])
    named = set(re.findall(r"(?:^|[\s/])headroom ([a-z][a-z-]*)", commands))
    targets = set(re.findall(r"(?:^|\s)make ([a-z]+)", commands))
    assert named <= subcommands(), f"no command {sorted(named - subcommands())}"
    assert targets <= make_targets(), f"no make target {sorted(targets - make_targets())}"


def subcommands() -> set[str]:
    from headroom.cli import app

    return {command.callback.__name__ for command in app.registered_commands if command.callback}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_every_dag_that_a_page_triggers_exists() -> None:
    dags = {path.stem for path in (ROOT / "dags").glob("*.py")}
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:--dag-id|dags trigger|dags pause|dags unpause|tasks clear) ([a-z_]+)", text))
    assert named
    assert named <= dags, f"no DAG {sorted(named - dags)}"


def test_every_decision_says_why_and_what_was_turned_down() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
        assert headings == ["Context", "Choice", "Turned down", "Consequences"], page.name


def test_every_runbook_goes_from_what_is_seen_to_how_to_know_it_is_mended() -> None:
    for page in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        if page.name in ("README.md", "going-live.md"):
            continue
        headings = re.findall(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
        assert headings == ["What you see", "Why", "What to do", "How to know that it is mended"], page.name
