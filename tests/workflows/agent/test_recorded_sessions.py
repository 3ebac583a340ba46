"""The recorded sessions on the real sandbox: the demo's Python repository, and a Node one."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from app import demo
from sandbox.authorities import find_authorities
from sandbox.container import Sandbox, SandboxSpec
from sandbox.docker import DockerSandboxes
from sandbox.images import ensure_image
from tests.workflows.agent.conftest import Serve
from workflows.agent.client.llm import OpenAIModel
from workflows.agent.equipment import Equipment
from workflows.agent.loop import AgentResult, run_agent
from workflows.agent.messages import AgentTask
from workflows.durable.run import InlineRun
from workflows.evidence.verify import run_tests
from workflows.repository.runners import Runner
from workflows.solving.replay import replay
from workflows.solving.session import Session
from workflows.trajectory.log import MemoryLog
from workflows.types import Budget, TestRun

STORIES = Path(__file__).parent.parent.parent / "stories"
TASK = AgentTask(system="You mend code.", prompt="See the issue.")


@pytest.fixture(scope="module")
def sandboxes(engine: docker.DockerClient) -> Iterator[DockerSandboxes]:
    opened = DockerSandboxes(engine, f"test-{uuid.uuid4().hex[:12]}")
    yield opened
    opened.remove_leftovers()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    return ensure_image(engine, say=print, authorities=find_authorities(os.environ), environment=os.environ)


def bare(source: Path, folder: Path) -> tuple[Path, str]:
    """A bare repository with the folder's files in its one commit, and that commit."""
    tree, mirror = folder / "tree", folder / "mirror.git"
    shutil.copytree(source, tree, ignore=shutil.ignore_patterns("__pycache__"))
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", *identity, *arguments], cwd=tree, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(tree), str(mirror)], check=True)
    folder.chmod(0o755)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=mirror, check=True, capture_output=True, text=True)
    return mirror, head.stdout.strip()


def suite(command: str, runner: Runner) -> Callable[[Sandbox, str], TestRun]:
    return lambda sandbox, targets: run_tests(sandbox, f"{command} {targets}".strip(), runner=runner, timeout=120)


@pytest.mark.parametrize(
    ("source", "session", "command", "runner", "changed"),
    [
        (
            demo.REPOSITORY,
            demo.SESSION,
            "python -m pytest -q",
            "pytest",
            ["tally/amounts.py", "tally/report.py", "tests/test_amounts.py", "tests/test_report.py"],
        ),
        (
            STORIES / "node_repository",
            STORIES / "sessions" / "node.json",
            "node --test",
            "node",
            ["src/pages.js", "test/pages.test.js"],
        ),
    ],
    ids=["tally", "node"],
)
def test_a_recorded_session_mends_its_repository(
    sandboxes: DockerSandboxes,
    image: str,
    serve: Serve,
    connect: Callable[..., OpenAIModel],
    tmp_path: Path,
    source: Path,
    session: Path,
    command: str,
    runner: Runner,
    changed: list[str],
) -> None:
    """Red before the fix, green after it, nothing else touched; played again, the change is the same to the byte."""
    mirror, base = bare(source, tmp_path)
    spec = SandboxSpec(image=image, job_id="recorded", mirror=mirror, commit=base)

    def play() -> AgentResult:
        workspace = Session(lambda: sandboxes, lambda: spec, base)
        equipment = Equipment(workspace, base, suite(command, runner))
        model = connect(serve(session))
        try:
            return run_agent(
                InlineRun("job-1"), model, log=MemoryLog(), equipment=equipment, task=TASK, budget=Budget()
            )
        finally:
            workspace.close()

    first = play()
    assert first.stop == "finished"
    assert first.patch is not None
    assert [file.path for file in first.patch.files] == changed
    failed = [
        (turn.number, result.name, result.content) for turn in first.turns for result in turn.results if result.failed
    ]
    assert {name for _, name, _ in failed} == {"run_tests"}, failed
    runs = [result for turn in first.turns for result in turn.results if result.name == "run_tests"]
    assert runs[0].failed
    assert not runs[-1].failed
    assert all(item.state == "completed" for item in first.plan)
    assert play().patch == first.patch


def test_a_replay_leaves_the_same_changes(
    sandboxes: DockerSandboxes, image: str, serve: Serve, connect: Callable[..., OpenAIModel], tmp_path: Path
) -> None:
    """The recorded replies on the real tools again: every turn's change is the same, and a changed record is not."""
    mirror, base = bare(demo.REPOSITORY, tmp_path)
    spec = SandboxSpec(image=image, job_id="replayed", mirror=mirror, commit=base)
    log = MemoryLog()

    def equip(workspace: Session) -> Equipment:
        return Equipment(workspace, base, suite("python -m pytest -q", "pytest"))

    first, second, third = (Session(lambda: sandboxes, lambda: spec, base) for _ in range(3))
    run = InlineRun("job-1")
    try:
        result = run_agent(
            run, connect(serve(demo.SESSION)), log=log, equipment=equip(first), task=TASK, budget=Budget()
        )
        again = replay(run, log.events(), equipment=equip(second))
        assert again.identical, again.differences
        assert again.patch == result.patch
        changed = [
            event.model_copy(update={"payload": {**event.payload, "files": []}}) if event.kind == "snapshot" else event
            for event in log.events()
        ]
        assert not replay(run, changed, equipment=equip(third)).identical
    finally:
        for session in (first, second, third):
            session.close()
