"""The moments at which Forgehand can be seen from outside, and the decision at which of them it is killed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import docker

from app.demo.scripted_model import RecordedRequest, ScriptedModel
from app.localhub.faults import Fault

When = Literal["before", "after", "at"]

WRITES = (
    ("POST", r"/access_tokens$", "token"),
    ("POST", r"/issues/\d+/reactions$", "reaction"),
    ("POST", r"/issues/\d+/comments$", "comment"),
    ("DELETE", r"/issues/\d+/labels/", "label"),
    ("POST", r"/issues/\d+/labels$", "state label"),
    ("POST", r"/repos/[^/]+/[^/]+/labels$", "state label made"),
    ("POST", r"/git-upload-pack$", "fetch"),
    ("POST", r"/git-receive-pack$", "push"),
    ("POST", r"/pulls$", "pull request"),
    ("POST", r"/check-runs$", "check run"),
)
BY_THE_CLOCK = "by the clock"
DOCKER_ACTIONS = ("create", "start", "commit")


@dataclass(frozen=True, order=True)
class Moment:
    """Something that Forgehand does: ``when`` is before or after it took effect, or at it where nobody can tell."""

    what: str
    when: When

    def __str__(self) -> str:
        return f"{self.when} {self.what}"


@dataclass
class Plan:
    """At which moments a kill is wanted: at each once, or always. Shared by worlds, safe for threads."""

    wants: Callable[[Moment], bool]
    once: bool = True
    killed: set[Moment] = field(default_factory=set)
    seen: set[Moment] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self, moment: Moment, *, armed: bool) -> bool:
        """Whether to kill now; when ``armed`` is false the moment is only noted."""
        with self._lock:
            self.seen.add(moment)
            if not armed or (self.once and moment in self.killed) or not self.wants(moment):
                return False
            self.killed.add(moment)
            return True

    def left(self) -> set[Moment]:
        """Moments that were seen and wanted, and have had no kill yet."""
        with self._lock:
            return {moment for moment in self.seen - self.killed if self.wants(moment)}


@dataclass(frozen=True)
class Kill:
    """One kill that happened, and the seconds until the job was seen at work again."""

    moment: Moment
    seconds: float


class Killer:
    """Sees one world's moments as they happen, and calls ``kill`` at those that the plan wants.

    ``kill`` says whether the process that ran the job is gone: then nothing is killed until :meth:`arm`.
    """

    def __init__(self, plan: Plan, kill: Callable[[], bool]) -> None:
        self._plan = plan
        self._kill = kill
        self._lock = threading.Lock()
        self._armed = False
        self._at = 0.0
        self._moment: Moment | None = None
        self.stage = "the start"
        self.fired = threading.Event()
        self.kills: list[Kill] = []
        self.trail: list[str] = []
        """All moments of the job in their order, kills marked."""

    def arm(self) -> None:
        """The next wanted moment is a kill."""
        with self._lock:
            self._armed = True

    def disarm(self) -> None:
        """No more kills."""
        with self._lock:
            self._armed = False

    def begin(self) -> None:
        """A new job: forget the last one."""
        self.kills, self.trail, self._moment = [], [], None
        self.fired.clear()

    def sees(self, what: str, when: When) -> bool:
        """Whether this moment is one to kill at; the caller must then call :meth:`strike`."""
        moment = Moment(what, when)
        with self._lock:
            wanted = self._plan.claim(moment, armed=self._armed)
            if self._moment is not None and not self.fired.is_set():
                self.kills.append(Kill(self._moment, time.monotonic() - self._at))
                self._moment = None
            self.trail.append(f"{moment}{' KILLED' if wanted else ''}")
            if wanted:
                self._armed, self._moment = False, moment
            return wanted

    def strike_after(self, seconds: float) -> None:
        """Kill at any time, by the clock, if it is wanted then."""

        def strike() -> None:
            if self.sees(BY_THE_CLOCK, "at"):
                self.strike()

        timer = threading.Timer(seconds, strike)
        timer.daemon = True
        timer.start()

    def strike(self) -> None:
        """Kill now."""
        gone = self._kill()
        self._at = time.monotonic()
        if gone:
            self.fired.set()
        else:
            self.arm()


class GitHubTrap(Fault):
    """Watches every write at the local GitHub; where it kills, the caller never gets the answer."""

    def __init__(self, killer: Killer) -> None:
        super().__init__("reset", times=1_000_000_000)
        self._killer = killer

    def matches(self, method: str, path: str, body: bytes) -> bool:
        what = self._name(method, path, body)
        if what is None:
            return False
        if self._killer.sees(what, "before"):
            self.after_write = False
            return True
        # A fetch is no write; its answer is cut off in the middle of nothing.
        self.after_write = True
        return what != "fetch" and self._killer.sees(what, "after")

    def act(self) -> None:
        self._killer.strike()

    def _name(self, method: str, path: str, body: bytes) -> str | None:
        for verb, pattern, name in WRITES:
            if verb == method and re.search(pattern, path):
                return name
        if method in ("GET", "HEAD") or path == "/installation/token":  # which is given back at the end
            return None
        if method == "PATCH" and re.search(r"/issues/comments/\d+$", path):
            headline = re.match(rb'\{"body": ?"(.*?)(?:\.|\\n|:? draft pull)', body)
            assert headline is not None, body[:200]
            self._killer.stage = headline[1].decode().removeprefix("Working on it: ")
            return f"comment edit: {self._killer.stage}"
        return f"{method} {re.sub(r'[0-9]+', 'N', path)}"


class WatchedModel(ScriptedModel):
    """A scripted model whose requests and sent replies are moments."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.killer: Killer | None = None
        self._now = threading.local()
        # Else each kill prints a traceback.
        self._server.handle_error = lambda request, address: None  # type: ignore[assignment, method-assign]

    def answer(self, request: RecordedRequest) -> Any:
        self._now.what = None
        if request.path.endswith("/chat/completions"):
            self._now.what = name_of_call(request)
            self._see("before")
        return super().answer(request)

    def _see(self, when: When) -> None:
        if self.killer is not None and self._now.what and self.killer.sees(self._now.what, when):
            self.killer.strike()

    def _handler(self) -> Any:
        model = self

        class Handler(super()._handler()):  # type: ignore[misc]
            def _send(self, answer: Any) -> None:
                super()._send(answer)
                self.wfile.flush()
                model._see("after")

        return Handler


def name_of_call(request: RecordedRequest) -> str:
    """``model turn N``, or ``model description``."""
    messages = request.json["messages"]
    if not request.json.get("tools"):
        return "model description"
    return f"model turn {1 + sum(message['role'] == 'assistant' for message in messages)}"


class DockerWatch:
    """What the engine tells of one owner's containers, as moments."""

    def __init__(self, client: docker.DockerClient, owner_label: str, killer: Killer) -> None:
        self._killer = killer
        self._events = client.events(decode=True, filters={"type": "container", "label": owner_label})
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._events.close()
        self._thread.join(timeout=10)

    def _watch(self) -> None:
        for event in self._events:
            action = str(event["Action"])
            if action in DOCKER_ACTIONS and self._killer.sees(f"container {action}, {self._killer.stage}", "at"):
                self._killer.strike()
