"""The main job with a real llama.cpp server as the model's; only the model's words are a script."""

from __future__ import annotations

from pathlib import Path

from tests.llamacpp.server import serve_script, write_call
from tests.stories.conftest import MakeWorld
from tests.stories.scripts import DESCRIBED, ISSUE, WRONG
from tests.stories.world import REPOSITORY

RIGHT = "def add(a, b):\n    return a + b\n"


def test_an_issue_becomes_a_pull_request(tmp_path: Path, make_world: MakeWorld) -> None:
    """A whole job: the label's webhook, the session with its calls over this server, and the described pull request."""
    mend = f"`add` subtracts.\n\n{write_call('write_file', path='calc.py', content=RIGHT)}\n{write_call('run_tests')}"
    replies = [mend, write_call("finish", summary="`add` subtracted.")]
    with serve_script(tmp_path, replies, [DESCRIBED["content"]]) as url:
        world = make_world(WRONG, url)
        world.serve_inside()
        record = world.end_of(REPOSITORY, world.ask(ISSUE))
    assert record.outcome is not None
    assert record.outcome.status == "pull_request", record.outcome
    [found] = world.pull_requests()
    assert "Add instead of subtract" in found.title
    assert found.pull is not None
    assert world.hub.read_file(REPOSITORY, "calc.py", found.pull.head) == RIGHT.encode()
