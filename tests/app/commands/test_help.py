"""The help and the reference page come from the table, and call nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.commands.grammar import parse_comment
from app.commands.help import render_help, render_reference
from app.commands.options import OPTIONS
from app.commands.routes import route
from app.commands.table import WORDS
from workflows.requests.asked import access_of
from workflows.texts.outbound import clean_outbound
from workflows.types import Actor, Command, Job, RepositoryRef

JOB = Job(
    id="gh-1",
    workflow="",
    repository=RepositoryRef(installation_id=1, id=11, full_name="octo/hello"),
    number=7,
    actor=Actor(id=5, login="mona"),
    trigger="",
    delivery_id="1",
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
)


@pytest.mark.parametrize("pull", [False, True])
def test_help_lists_what_works_here(pull: bool) -> None:
    """Every command that works in this kind of thread is in its help, and no other; all options are."""
    text = render_help("/bot", slug="acme", on_pull_request=pull)
    for word in WORDS:
        assert (f"`/bot {word.example}`" in text) == word.works_on(pull_request=pull)
    assert all(f"`{key}=`" in text for key in OPTIONS)
    assert "/qwen" not in text


@pytest.mark.parametrize("pull", [False, True])
def test_help_is_dead_text(pull: bool) -> None:
    """What we post is no command to us and passes the outbound filter as it is."""
    text = render_help(slug="forgehand", on_pull_request=pull)
    assert parse_comment(text, slug="forgehand", on_pull_request=pull) == ()
    assert clean_outbound(text) == text


def test_the_reference_names_everything() -> None:
    """The page's section has every command, alias and option."""
    text = render_reference()
    assert all(f"`{name}`" in text for word in WORDS for name in (word.name, *word.aliases))
    assert all(f"| `{key}=` |" in text for key in OPTIONS)


def test_the_table_is_consistent() -> None:
    """Names and aliases are unique, options exist, and what is answered at once takes nothing."""
    names = [name for word in WORDS for name in (word.name, *word.aliases)]
    assert len(names) == len(set(names))
    assert all(key in OPTIONS for word in WORDS for key in word.options)
    assert all(word.takes == "nothing" and not word.options for word in WORDS if word.lane == "answer")


def test_the_table_tells_who_may() -> None:
    """What the help says of a command's needs is what is asked of its actor."""
    told = {"change": "write", "control": "write", "read": "read", "answer": "nothing"}
    for word in WORDS:
        command = Command(word=word.name)
        for on_pull_request in (False, True):
            if word.works_on(pull_request=on_pull_request):
                workflow = route(command, on_pull_request=on_pull_request)
                job = JOB.model_copy(update={"workflow": workflow, "command": command})
                assert told[access_of(job)] == word.needs, word.name
