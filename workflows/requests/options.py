"""The options of a command put into effect: each lowers or narrows what policy and operator grant, or is refused."""

from __future__ import annotations

from dataclasses import replace

from workflows.repository.policy import Policy, effective_budget
from workflows.requests.job_services import JobServices
from workflows.texts.outbound import code_span
from workflows.types import Budget, CommandOptions, Job, Usage


def options_of(job: Job) -> CommandOptions:
    """What was asked for; nothing when a label or an event asked."""
    return job.command.options if job.command is not None else CommandOptions()


def merge_options(earlier: CommandOptions, later: CommandOptions) -> CommandOptions:
    """The options of a request that is made again: what is said now, else what was said before."""
    said = {key: value for key, value in later.model_dump().items() if value not in (None, ())}
    return earlier.model_copy(update={**said, "paths": later.paths or earlier.paths})


def lower_budget(budget: Budget, options: CommandOptions) -> Budget:
    """The budget with the command's limits, none of them above what is granted."""
    return budget.model_copy(
        update={
            "turns": min(budget.turns, options.turns or budget.turns),
            "seconds": min(budget.seconds, options.seconds or budget.seconds),
            "usd": min(budget.usd, options.usd or budget.usd),
        }
    )


def granted_budget(job: Job, policy: Policy, services: JobServices) -> Budget:
    """What one job that changes something may use."""
    budget = effective_budget(services.budget, policy, long_turns=services.long_turns)
    return lower_budget(budget, options_of(job))


def left_of(budget: Budget, spent: Usage) -> Budget:
    """The budget of a job's next session, of which tokens and money are the job's and not the session's."""
    tokens = budget.tokens - spent.input_tokens - spent.output_tokens
    return budget.model_copy(update={"tokens": max(0, tokens), "usd": max(0.0, budget.usd - spent.usd)})


def granted_attempts(job: Job, policy: Policy, services: JobServices) -> int:
    """How many sessions try it: the command's number, at most the policy's, or without one at most the operator's."""
    most = min(services.attempts, policy.attempts or services.attempts)
    return min(most, options_of(job).attempts or policy.attempts or 1)


def with_chosen_model(services: JobServices, job: Job) -> JobServices:
    """The services whose model is the command's, where it names one that the operator offers."""
    name = options_of(job).model
    choose = services.choose_model
    if name is None or choose is None or name not in services.models:
        return services
    return replace(services, model=choose(name, 1), model_for=lambda attempt: choose(name, attempt))


def object_to_options(job: Job, services: JobServices) -> str:
    """Why the command cannot be carried out with its options, for the actor; empty when it can."""
    options = options_of(job)
    if options.model is not None and options.model not in services.models:
        offered = ", ".join(code_span(name) for name in services.models)
        return f"The model {code_span(options.model)} is not offered here. These are: {offered}."
    if options.branch is not None and job.on_pull_request:
        return "`branch=` is for issues: on a pull request the work is done on its own branch. Ask again without it."
    return ""


def render_applied(job: Job, policy: Policy, services: JobServices) -> str:
    """The options in effect, for people: each with what it came to; empty without any."""
    options = options_of(job)
    budget, said = granted_budget(job, policy, services), []
    if options.usd is not None:
        said.append(_limited(f"budget={budget.usd:g}usd", asked=options.usd, granted=budget.usd))
    if options.turns is not None:
        said.append(_limited(f"turns={budget.turns}", asked=options.turns, granted=budget.turns))
    if options.seconds is not None:
        said.append(_limited(f"time={budget.seconds:g}s", asked=options.seconds, granted=budget.seconds))
    if options.model is not None:
        said.append(code_span(f"model={options.model}"))
    if options.attempts is not None:
        attempts = granted_attempts(job, policy, services)
        said.append(_limited(f"attempts={attempts}", asked=options.attempts, granted=attempts))
    if options.branch is not None:
        said.append(code_span(f"branch={options.branch}"))
    if options.paths:
        said.append(code_span(f"paths={','.join(options.paths)}"))
    if options.draft is not None:
        said.append(code_span(f"draft={str(options.draft).lower()}"))
    return ", ".join(said)


def render_paths(options: CommandOptions) -> str:
    """What the agent is told of the paths that it may change; empty when it may change all."""
    if not options.paths:
        return ""
    listed = ", ".join(code_span(path) for path in options.paths)
    return f"Only what these globs name counts for this request: {listed}. A change to anything else is thrown away."


def _limited(text: str, *, asked: float, granted: float) -> str:
    return code_span(text) if granted >= asked else f"{code_span(text)} (more is not granted)"
