"""What a thread is told of its own work: how it stands, why something was not taken up, and by which rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import yaml

from workflows.durable.deliveries import MOST_JOBS, DeliveryRecord, job_id
from workflows.durable.job_records import JobRecord
from workflows.repository.policy import POLICY_PATH
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices
from workflows.texts.outbound import clean_line, code_block, code_span
from workflows.types import Job

SHOWN = 10


def render_status(records: Sequence[JobRecord], services: JobServices, job: Job) -> str:
    """The thread's jobs, newest last, as a table; of the one that runs also how far its session is."""
    work = [one for one in records if one.job.workflow not in ("answer", "tidy")][-SHOWN:]
    if not work:
        return "Nothing was asked for on this thread yet."
    lines = ["| Request | By | State | Since |", "|---|---|---|---|"]
    for record in work:
        asked = _request(record.job)
        lines.append(
            f"| {asked} | `{record.job.actor.login}` | {_state(record, services)} | {_ago(record.changed_at)} |"
        )
    ahead = sum(record.state in ("queued", "running") for record in work)
    lines += ["", f"{ahead} queued or under way on this thread." if ahead else "Nothing is queued or under way."]
    return "\n".join(lines)


def render_why(deliveries: Sequence[DeliveryRecord], records: Mapping[str, JobRecord], services: JobServices) -> str:
    """What became of the last events on this thread, newest first: taken up, or not, and why."""
    if not deliveries:
        return "GitHub has told us of nothing else on this thread. Is the App subscribed to the event?"
    lines = ["What became of the last events on this thread, newest first:", ""]
    for delivery in deliveries[:SHOWN]:
        jobs = [records[one] for one in ids_of(delivery) if one in records]
        said = "; ".join(_became(record) for record in jobs) or delivery.decision
        event = ".".join(part for part in (delivery.event, delivery.action) if part)
        lines.append(
            f"- {delivery.received_at:%Y-%m-%d %H:%M:%S} UTC, {code_span(event)}: {clean_line(services.clean(said))}"
        )
    return "\n".join(lines)


def ids_of(delivery: DeliveryRecord) -> list[str]:
    """The ids of the jobs that a delivery asked for, or could have."""
    return [job_id(delivery.guid, number) for number in range(1, MOST_JOBS + 1)] if delivery.job_id else []


def _became(record: JobRecord) -> str:
    if record.outcome is None:
        return record.state
    return f"{record.outcome.status.replace('_', ' ')}: {record.outcome.reason}"


def render_config(asked: Asked, services: JobServices) -> str:
    """The rules in force here: the policy of the default branch with its defaults, and the operator's limits."""
    parts = []
    if asked.policy_errors:
        mistakes = "\n".join(f"- line {error.line}: {error.message}" for error in asked.policy_errors)
        parts.append(f"`{POLICY_PATH}` on `{asked.repository.default_branch}` has mistakes:\n\n{mistakes}")
    policy = yaml.safe_dump(asked.policy.model_dump(mode="json"), sort_keys=True, allow_unicode=True)
    parts.append(f"The policy in force (`{POLICY_PATH}` on `{asked.repository.default_branch}`, with defaults):")
    parts.append(code_block(policy, "yaml"))
    settings = yaml.safe_dump(services.spoken.settings(), sort_keys=True, allow_unicode=True)
    parts.append(f"The operator's limits:\n\n{code_block(settings, 'yaml')}")
    return "\n\n".join(parts)


def render_doctor(findings: Sequence[tuple[str, bool, str]]) -> str:
    """How each part is now; a finding that does not pass says what to do."""
    if not findings:
        return "There is nothing to look at here."
    lines = [
        f"- {'well' if well else '**not well**'}: {name}: {clean_line(finding)}" for name, well, finding in findings
    ]
    return "\n".join(["How the parts are now:", "", *lines])


def _request(job: Job) -> str:
    if job.command is not None:
        return code_span(f"{job.command.word} {job.command.text}".strip()[:60])
    return f"label {code_span(job.trigger)}" if job.trigger else job.workflow.replace("_", " ")


def _state(record: JobRecord, services: JobServices) -> str:
    if record.outcome is not None:
        return clean_line(
            services.clean(f"{record.outcome.status.replace('_', ' ')}: {record.outcome.reason}"), limit=160
        )
    if record.state == "running":
        events = services.trajectories.open(record.job.continues or record.job.id).events()
        turns = max((event.turn for event in events), default=0)
        return f"running, turn {turns}" if turns else "running"
    return record.state


def _ago(moment: datetime) -> str:
    minutes = int((datetime.now(UTC) - moment).total_seconds() // 60)
    return "now" if minutes < 1 else f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
