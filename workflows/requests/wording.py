"""What a command asks for, in words for the agent: ours, with the actor's fenced."""

from __future__ import annotations

from workflows.texts.untrusted import clean_inbound, fence_untrusted
from workflows.types import Job

_ASKED = {
    "test": "Write tests: for what the issue or the pull request is about, where none show that it works. Change no "
    "other code, unless a test shows that it is wrong.",
}


def render_request(job: Job) -> str:
    """The request beside the issue's own text; empty when the label asked, or a command without words.

    The actor has been found to have write permission, so these words say what to build; they cannot change the rules.
    """
    parts = []
    if job.plan:
        told = "A plan was made and approved. Carry out exactly this plan; say in `verification` where you could not."
        parts.append(f"{told}\n\n{fence_untrusted('approved plan', clean_inbound(job.plan).text)}")
    command = job.command
    if command is not None and command.word in _ASKED:
        parts.append(_ASKED[command.word])
    if command is not None and command.text.strip() and not job.plan:
        told = f"`{job.actor.login}`, who has write permission, asks:"
        parts.append(f"{told}\n\n{fence_untrusted(f'request by {job.actor.login}', clean_inbound(command.text).text)}")
    return "\n\n".join(parts)
