"""A command's options: each takes effect where the work runs, none grants more than policy and operator do."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import NOTE, NOTED, UNTESTED, call, finish, turn, write

OTHER = "another-model"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("options") / "world"
    with open_ground(folder, engine, fallback_models=(OTHER,), budget_turns=6, attempts=2) as ground:
        yield ground


def fix(ground: Ground, name: str, options: str, *, files: dict[str, str] | None = None) -> Told:
    """The story of an issue on which alice says `/qwen fix` with these options."""
    world = ground.world
    repository = world.create_repository(name, {**UNTESTED, **(files or {})})
    if "branch=" in options:
        world.hub.commit(repository, {"notes.txt": "Notes of the next version.\n"}, branch="next", author="alice")
    number = world.hub.create_issue(repository, "alice", "One more note", "It is missing.").number
    world.hub.add_comment(repository, number, "alice", f"/qwen fix {options}")
    return ground.told(repository, number)


def ours(told: Told) -> str:
    """The one thing that our App said."""
    [said] = [text for text in told.comments if not text.startswith("/qwen")]
    return said


def test_a_limit_lowers_and_never_raises(ground: Ground) -> None:
    """Two turns are two turns, and the pull request says that it is unfinished; a hundred are the operator's six."""
    ground.play(turn(NOTE), *[turn(call("bash", command="ls"))] * 9)
    told = fix(ground, "limits", "turns=2 time=10m budget=1usd")
    assert told.outcome.status == "pull_request", told.outcome
    assert "- [x] Accepted: asked by `alice` with `budget=1usd`, `turns=2`, `time=600s`" in ours(told)
    assert "**Perhaps not finished:** the budget of turns was used up." in ours(told)
    assert "<sub>2 turns · " in ours(told)
    [pull] = told.pulls
    assert "2 turns · " in str(pull.body)

    ground.play(turn(NOTE), *[turn(call("bash", command="ls"))] * 9)
    more = fix(ground, "more-limits", "turns=100")
    assert "with `turns=6` (more is not granted)" in ours(more)
    assert "<sub>6 turns · " in ours(more)


def test_a_model_of_the_operator(ground: Ground) -> None:
    """One of the operator's models is asked; any other is answered with the list, and nothing starts."""
    ground.play(*NOTED)
    before = len(ground.world.model.requests)
    told = fix(ground, "model", f"model={OTHER}")
    assert told.outcome.status == "pull_request", told.outcome
    assert {request.json["model"] for request in ground.world.model.completions()[before:]} == {OTHER}
    assert f"with the model `{OTHER}`" in str(told.pulls[0].body)

    refused = fix(ground, "no-model", "model=gpt-17")
    assert refused.outcome.status == "refused"
    answer = "The model `gpt-17` is not offered here. These are: `scripted-session`, `another-model`."
    assert ours(refused).startswith(answer)
    assert refused.writes == [f"POST issues/{refused.number}/comments"]


def test_attempts_within_what_is_granted(ground: Ground) -> None:
    """Without a number in the policy a command may ask for as many as the operator lets; with one, for no more."""
    ground.play(*NOTED)
    told = fix(ground, "attempts", "attempts=5")
    assert "`attempts=2` (more is not granted)" in ours(told)
    assert "2 attempts were made" in str(told.pulls[0].body)

    ground.play(*NOTED)
    one = fix(ground, "one-attempt", "attempts=2", files={".github/qwen.yml": "attempts: 1\n"})
    assert "`attempts=1` (more is not granted)" in ours(one)
    assert "attempts were made" not in str(one.pulls[0].body)


def test_another_branch(ground: Ground) -> None:
    """The work starts from the branch and goes back to it; its guidance is the default branch's all the same."""
    ground.play(turn(call("read_file", path="notes.txt")), turn(write("notes.txt", "New.\n")), turn(finish("Done.")))
    told = fix(ground, "branch", "branch=next", files={"AGENTS.md": "Be kind."})
    assert told.outcome.status == "pull_request", told.outcome
    [pull] = told.pulls
    assert pull.pull is not None
    assert pull.pull.base == "next"
    events = ground.inside.composition.trajectories.open(told.job).events()
    assert events[0].payload["base"] == told.branches["next"]
    assert "Be kind." in events[0].payload["prompt"]
    assert told.writes == [
        told.writes[0],
        f"POST issues/{told.number}/comments",
        "PUSH qwen/issue-1-one-more-note",
        "POST pulls",
        "POST check-runs",
    ]


def test_a_branch_that_is_not_there(ground: Ground) -> None:
    """A branch that nobody made is said so, and nothing is pushed."""
    ground.play(*NOTED)
    world = ground.world
    repository = world.create_repository("no-branch", UNTESTED)
    number = world.hub.create_issue(repository, "alice", "One more note").number
    world.hub.add_comment(repository, number, "alice", "/qwen fix branch=nowhere")
    told = ground.told(repository, number)
    assert told.outcome.status == "failed"
    assert ours(told).startswith("**Stopped:** There is no branch `nowhere` here. Name one that is, and ask again.")
    assert list(told.branches) == ["main"]


def test_paths_bound_the_change(ground: Ground) -> None:
    """The agent is told, a change outside of the paths is rejected by name, and the changelog stays in the text."""
    changelog = {"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Nothing.\n"}
    ground.play(*NOTED)
    told = fix(ground, "paths", "paths=*.txt", files=changelog)
    assert told.outcome.status == "pull_request", told.outcome
    opening = ground.inside.composition.trajectories.open(told.job).events()[0].payload["prompt"]
    assert "Only what these globs name counts for this request: `*.txt`." in opening
    assert (
        ground.world.hub.read_file(told.repository, "CHANGELOG.md", told.outcome.branch).decode()
        == (changelog["CHANGELOG.md"])
    )

    ground.play(turn(NOTE, write("README.md", "Other.\n")), turn(finish("Done.")))
    outside = fix(ground, "outside", "paths=notes.*,docs/**")
    assert outside.outcome.status == "rejected"
    assert "`README.md`: this is none of the paths that were asked for (`notes.*`, `docs/**`)." in ours(outside)
    assert list(outside.branches) == ["main"]


def test_ready_for_review_at_once(ground: Ground) -> None:
    """`draft=false` opens a pull request that is no draft."""
    ground.play(*NOTED)
    told = fix(ground, "ready", "draft=false")
    [pull] = told.pulls
    assert pull.pull is not None
    assert pull.pull.draft is False
