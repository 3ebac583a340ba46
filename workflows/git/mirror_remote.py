"""A mirror and its remote: everything fetched, one branch moved forward."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.file_lock import try_lock
from workflows.git.bare import BareRepository, checked
from workflows.git.process import (
    LOCAL_RECEIVE_PACK,
    LOCAL_UPLOAD_PACK,
    GitFailure,
    Remote,
    failure,
    parse_remote,
    run_git,
)
from workflows.types import Noun

NETWORK_SECONDS = 900.0


class PushResult(Noun):
    """What a push did. ``reason`` is set when it was rejected: the remote's words, in one line."""

    state: Literal["created", "fast-forwarded", "up_to_date", "rejected"]
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the branch now holds the commit."""
        return self.state != "rejected"


@dataclass(frozen=True)
class MirrorRemote(BareRepository):
    """The part of a mirror that talks to its remote."""

    def fetch(
        self, url: str, token: str | None = None, *, pull: int | None = None, timeout: float = NETWORK_SECONDS
    ) -> None:
        """Bring all branches and tags up to date; what is gone there goes here. Safe beside other fetches.

        ``pull``: the head of this pull request too, which may be in a fork.
        """
        remote = self._remote(url, token)
        with self._locked(timeout) as lock:
            self._init()
            answer = run_git(
                [
                    "fetch",
                    "--quiet",
                    "--prune",
                    "--no-tags",
                    "--no-recurse-submodules",
                    "--no-write-fetch-head",
                    "--no-auto-maintenance",
                    *_upload_pack(remote),
                    # A checkout of CI's is often a shallow one; without this git leaves out every branch of it.
                    *(["--update-shallow"] if remote.scheme == "file" else []),
                    "--",
                    remote.url,
                    "+refs/heads/*:refs/heads/*",
                    "+refs/tags/*:refs/tags/*",
                    # GitHub keeps this one for forks and deleted branches as well:
                    # https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/reviewing-changes-in-pull-requests/checking-out-pull-requests-locally
                    *([f"+refs/pull/{pull}/head:refs/pull/{pull}/head"] if pull is not None else []),
                ],
                git_dir=self.path,
                remote=remote,
                timeout=timeout,
                held=(lock,),
            )
        if answer.code:
            raise failure("fetch the repository", answer)

    def push(
        self,
        url: str,
        commit: str,
        branch: str,
        token: str | None = None,
        *,
        create: bool = False,
        timeout: float = NETWORK_SECONDS,
    ) -> PushResult:
        """Make the remote's branch hold ``commit``: create it or move it forward, never otherwise.

        A branch that holds the commit already, with or without work on top of it, is "up_to_date". ``create``: a
        branch that is there with less is somebody else's, and "rejected".
        """
        remote = self._remote(url, token)
        target = self._checked_branch(branch)
        receive = [f"--receive-pack={LOCAL_RECEIVE_PACK}"] if remote.scheme == "file" else []
        # An empty expectation means "not there yet": git checks it in the same breath, and can overwrite nothing.
        absent = [f"--force-with-lease={target}:"] if create else []
        answer = run_git(
            ["push", "--porcelain", "--no-verify", *absent, *receive, "--", remote.url, f"{checked(commit)}:{target}"],
            git_dir=self.path,
            remote=remote,
            timeout=timeout,
        )
        flag, words = _parse_push(answer.output.decode("utf-8", "replace"))
        if flag == "*":
            return PushResult(state="created")
        if flag == "=":
            return PushResult(state="up_to_date")
        if flag == " ":
            return PushResult(state="fast-forwarded")
        if flag == "!":
            if any(sign in words for sign in ("non-fast-forward", "fetch first", "stale info")):
                return self._already_there(remote, commit, target, timeout)
            return PushResult(state="rejected", reason=_rejection(words, answer.errors))
        raise failure("push the branch", answer)

    def remote_branch(self, url: str, branch: str, token: str | None = None, *, timeout: float = 60) -> str | None:
        """The commit the remote's branch points at now, or None."""
        remote = self._remote(url, token)
        target = self._checked_branch(branch)
        answer = run_git(["ls-remote", *_upload_pack(remote), "--", remote.url, target], remote=remote, timeout=timeout)
        if answer.code:
            raise failure("look at the remote's branches", answer)
        for line in answer.output.decode("utf-8", "replace").splitlines():
            oid, _, name = line.partition("\t")
            if name == target:
                return oid
        return None

    def remote_head(self, url: str, token: str | None = None, *, timeout: float = 60) -> str | None:
        """The branch that the remote's HEAD names (a checkout's current branch), or None when it is detached."""
        remote = self._remote(url, token)
        answer = run_git(
            ["ls-remote", "--symref", *_upload_pack(remote), "--", remote.url, "HEAD"], remote=remote, timeout=timeout
        )
        if answer.code:
            raise failure("look at the remote's HEAD", answer)
        first = answer.output.decode("utf-8", "replace").partition("\t")[0]
        return first.removeprefix("ref: refs/heads/") if first.startswith("ref: refs/heads/") else None

    def _already_there(self, remote: Remote, commit: str, target: str, timeout: float) -> PushResult:
        held = run_git(
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *_upload_pack(remote), "--", remote.url, target],
            git_dir=self.path,
            remote=remote,
            timeout=timeout,
        )
        tip = self.remote_branch(remote.url, target.removeprefix("refs/heads/"), remote.token)
        if held.code == 0 and tip and self._git("merge-base", "--is-ancestor", commit, tip).code == 0:
            return PushResult(state="up_to_date")
        return PushResult(state="rejected", reason="the branch exists and holds commits that are not ours")

    def _remote(self, url: str, token: str | None) -> Remote:
        return parse_remote(url, token, local_checkouts=self.local_checkouts)

    def _checked_branch(self, branch: str) -> str:
        target = f"refs/heads/{branch}"
        if branch.startswith("-") or "\0" in branch or run_git(["check-ref-format", target]).code:
            raise GitFailure("usage", "git does not allow this branch name. Change `branch_prefix` in the policy.")
        return target

    def _init(self) -> None:
        # Only what fetches of ours left behind when they were killed: the lock is held, so nobody is at work.
        for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*"):
            for stale in self.path.glob(pattern):
                stale.unlink(missing_ok=True)
        if self.path.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix="new-") as folder:
            fresh = Path(folder) / "mirror"
            answer = run_git(["init", "--quiet", "--bare", "--template=", "--", str(fresh)])
            if answer.code:
                raise failure("make the mirror", answer)
            fresh.rename(self.path)

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[int]:
        # git inherits the descriptor: after a kill -9 of this process the lock holds until its git has ended too.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + timeout
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise GitFailure("timeout", "Another job is still fetching this repository. Try again later.")
                time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)


def _upload_pack(remote: Remote) -> list[str]:
    return [f"--upload-pack={LOCAL_UPLOAD_PACK}"] if remote.scheme == "file" else []


def _parse_push(output: str) -> tuple[str, str]:
    # "<flag>\t<from>:<to>\t<summary> (<reason>)": https://git-scm.com/docs/git-push#_output
    for line in output.splitlines():
        parts = line.split("\t")
        if len(parts) == 3 and ":refs/heads/" in parts[1]:
            return parts[0], parts[2]
    return "", ""


def _rejection(words: str, errors: str) -> str:
    said = [line.removeprefix("remote:").strip() for line in errors.splitlines() if line.startswith("remote:")]
    return " / ".join([words, *(line for line in said if line)])[:400]
