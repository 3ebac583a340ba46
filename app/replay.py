"""`forgehand replay`: a recorded session's replies against the tools again, in a fresh sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from app.composition import Composition
from app.failures import FAILURES, say_failure
from app.settings import Settings
from app.trajectory_reading import NoSuchSession, Trajectories
from sandbox.container import SandboxUnavailable
from workflows.durable.run import InlineRun
from workflows.git.mirrors import Mirror
from workflows.repository.policy import POLICY_PATH, Policy, parse_policy
from workflows.repository.survey import survey_repository
from workflows.services import BrokenWorld
from workflows.solving.assignment import Assignment
from workflows.solving.bench import Bench
from workflows.solving.replay import RecordedModel, Replayed, replay
from workflows.texts.untrusted import show_hidden
from workflows.trajectory.events import Event, of_kind
from workflows.types import Actor, Issue, Job, RepositoryRef, Turn


def replay_session(settings: Settings, job_id: str, session: str) -> int:
    """Play a stored session again and say whether every turn left the same change. The exit code: 0 when it did.

    ``job_id`` may be the beginning of one.
    """
    console = Console(stderr=True)
    composition = Composition(settings, say=lambda line: console.print(f"  {line}", style="dim", markup=False))
    try:
        trajectories = Trajectories(composition.trajectories, composition.redactor.redact)
        done = _play(composition, trajectories.events(trajectories.find(job_id, session)), console)
    except (*FAILURES, NoSuchSession, SandboxUnavailable) as error:
        return say_failure(console, error, redact=composition.redactor.redact)
    finally:
        composition.close()
    for difference in done.differences[:20]:
        paths = ", ".join(show_hidden(path) for path in difference.paths[:5])
        console.print(f"turn {difference.turn} left another change: {paths}", style="yellow", markup=False)
    console.print(f"{done.turns} of {done.recorded_turns} turns played, {len(done.differences)} with another change")
    print("identical" if done.identical else "different")
    return 0 if done.identical else 1


def _play(composition: Composition, events: Sequence[Event], console: Console) -> Replayed:
    facts = of_kind(events, "session")[0].payload
    mirror = Mirror(composition.mirrors.folder / str(facts["mirror"]))
    if not mirror.holds(str(facts["base"])):
        raise BrokenWorld(
            "git",
            f"The mirror of {facts['repository']} does not hold the commit {facts['base']} any more. Run the job's "
            "repository once more (a label, or `forgehand fix`), so that it is fetched.",
        )
    bench = Bench(_assignment(composition, mirror, facts))
    bench.prepare()
    before = bench.tests()
    tree = bench.open_session()
    try:
        return replay(
            InlineRun(str(facts["job"])),
            events,
            equipment=bench.equip(tree, before),
            on_turn=lambda t: _say(console, t),
        )
    finally:
        tree.close()
        bench.close()


def _assignment(composition: Composition, mirror: Mirror, facts: dict[str, Any]) -> Assignment:
    base = str(facts["base"])
    parsed = parse_policy(mirror.read_file(base, POLICY_PATH))
    policy = parsed if isinstance(parsed, Policy) else Policy()
    actor = Actor(id=0, login="replay")
    job = Job(
        id=f"replay-{facts['job']}",
        workflow="replay",
        repository=RepositoryRef(installation_id=0, id=int(facts["repository_id"]), full_name=str(facts["repository"])),
        number=int(facts["number"]),
        actor=actor,
        trigger="",
        delivery_id="",
        created_at=datetime.now(UTC),
    )
    return Assignment(
        job=job,
        issue=Issue(number=job.number, title="", body="", author=actor, state="open", labels=(), html_url=""),
        comments=(),
        policy=policy,
        survey=survey_repository(mirror, base=base, branch="", policy=policy),
        mirror=lambda: mirror,
        workshop=composition.find_workshop,
        model=RecordedModel((), name=str(facts["model"])),
        budget=composition.settings.budget,
        test_seconds=composition.settings.test_seconds,
        map_cache=composition.data_dir / "maps",
        may_ask=True,
    )


def _say(console: Console, turn: Turn) -> None:
    calls = ", ".join(call.name for call in turn.reply.tool_calls) or "(words)"
    console.print(f"  turn {turn.number}: {show_hidden(calls)}", style="dim", markup=False, highlight=False)
