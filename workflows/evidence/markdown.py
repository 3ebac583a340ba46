"""What the harness saw, in Markdown: the verdict in a line, its evidence, and the warnings above all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workflows.texts.outbound import clean_line, code_block, code_span
from workflows.texts.untrusted import hidden_marks
from workflows.types import Patch, TestRun, Verdict

MOST_TESTS = 20
LOG_CHARACTERS = 3_000
_STATUS = {
    "verified": "Verified",
    "unverified": "Not verified",
    "worse": "Worse than before",
    "no_tests": "Not verified: no tests were run",
}


def render_verdict_line(verdict: Verdict) -> str:
    """The verdict in one plain line, such as a check run's title."""
    counts = [
        f"{len(verdict.fail_to_pass)} fail-to-pass" if verdict.fail_to_pass else "",
        f"{verdict.pass_to_pass} pass-to-pass" if verdict.pass_to_pass else "",
        f"{len(verdict.broken)} broken" if verdict.broken else "",
    ]
    told = ", ".join(count for count in counts if count)
    return f"{_STATUS[verdict.status]}{': ' + told if told else ''}"


def render_evidence(verdict: Verdict) -> str:
    """The verdict's reasons, every run in numbers, and the tests that changed their outcome."""
    # One line each: what a test or a tool is called must not begin a line of ours.
    first, *others = [" ".join(reason.split()) for reason in verdict.reasons] or [""]
    lines = [f"**{render_verdict_line(verdict)}.** {first}".rstrip(), "", *_runs(verdict), *_tests(verdict)]
    if others:
        lines += ["What the harness noticed:", "", *(f"- {reason}" for reason in others), ""]
    after = verdict.after
    if after is not None and verdict.status != "verified" and after.log_tail.strip():
        tail = after.log_tail[-LOG_CHARACTERS:]
        lines += [
            "<details><summary>The end of the log after the change</summary>",
            "",
            code_block(tail),
            "",
            "</details>",
            "",
        ]
    lines.append(
        "_Forgehand ran these commands and recorded what they said. What they say is decided by the code under test, "
        "which this change may touch._"
    )
    return "\n".join(lines)


def render_warnings(
    verdict: Verdict,
    *,
    patch: Patch | None = None,
    protected: Sequence[str] = (),
    blocked_hosts: Sequence[str] = (),
    setup_failed: str = "",
    hidden: Mapping[str, int] | None = None,
    unfinished: str = "",
    unproven: Sequence[str] = (),
) -> str:
    """What a reviewer must know first, as one alert; empty when there is nothing.

    ``hidden`` counts the hidden things of the issue's text by kind; ``unfinished`` is why the model was stopped early;
    ``unproven`` are sentences on what its session left without proof.
    """
    said = [f"Tests were weakened: {clean_line(one)}" for one in verdict.weakened]
    if unfinished:
        said.append(f"Perhaps not finished: {clean_line(unfinished).rstrip('.')}.")
    said += [clean_line(one) for one in unproven]
    if verdict.status != "verified":
        said.append(f"{_STATUS[verdict.status]}. {' '.join(' '.join(verdict.reasons).split())}".rstrip())
    if verdict.broken:
        said.append(f"{len(verdict.broken)} tests that passed before do not pass now: {_spans(verdict.broken)}.")
    if protected:
        said.append(f"Read these first, they decide what is installed, built or run: {_spans(protected)}.")
    if setup_failed:
        said.append(f"The set-up failed: {clean_line(setup_failed)}")
    if blocked_hosts:
        said.append(f"The set-up tried to reach hosts that are not allowed: {_spans(blocked_hosts)}.")
    marks = [place for file in (patch.files if patch else ()) for place in hidden_marks(file.path, file.content or b"")]
    if marks:
        said.append(f"Characters that cannot be seen are added in {_spans(marks)}.")
    strange = {kind: count for kind, count in (hidden or {}).items() if kind in ("tag", "bidi", "invisible")}
    if strange:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(strange.items()))
        said.append(
            f"The issue's text holds characters that cannot be seen ({told}). They were shown to the model as such."
        )
    return "\n".join(["> [!WARNING]", *(f"> - {one}" for one in said)]) if said else ""


def _spans(names: Sequence[str]) -> str:
    shown = ", ".join(code_span(name[:200]) for name in names[:MOST_TESTS])
    return shown + (f" and {len(names) - MOST_TESTS} more" if len(names) > MOST_TESTS else "")


def _runs(verdict: Verdict) -> list[str]:
    named = [("before", verdict.before), ("new tests on the base", verdict.red), ("after", verdict.after)]
    runs = [(name, run) for name, run in named if run is not None]
    if not runs:
        return []
    commands = dict.fromkeys(run.command for _, run in runs)
    lines = [f"Command: {code_span(command)}  " for command in commands]
    lines += ["", "| Run | Exit code | Seconds | Passed | Failed | Skipped |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {_exit(run)} | {run.seconds:.1f} | {_counts(run)} |" for name, run in runs]
    digests = [f"{name} `{run.log_sha256}`" for name, run in runs if run.log_sha256]
    return [*lines, "", *([f"Logs (SHA-256): {', '.join(digests)}", ""] if digests else [])]


def _exit(run: TestRun) -> str:
    if run.timed_out:
        return "timed out"
    code = "none" if run.exit_code is None else str(run.exit_code)
    return f"{code} (out of memory)" if run.out_of_memory else code


def _counts(run: TestRun) -> str:
    if run.cases is None:
        return "not reported | |"
    outcomes = [case.outcome for case in run.cases]
    failed = outcomes.count("failed") + outcomes.count("error")
    return f"{outcomes.count('passed')} | {failed} | {outcomes.count('skipped')}"


def _tests(verdict: Verdict) -> list[str]:
    known = tuple(name for name in verdict.fail_to_pass if name not in verdict.red_first)
    lists = (
        ("Fail-to-pass", "failed before, pass now", known),
        ("Fail-to-pass, red first", "this change's own tests: they failed on the base, pass now", verdict.red_first),
        ("Broken", "passed before, do not pass now", verdict.broken),
        ("Still failing", "failed before and now", verdict.still_failing),
    )
    lines = []
    for title, meaning, names in lists:
        if names:
            lines.append(f"- {title} ({meaning}): {len(names)}")
            lines += [f"  - {code_span(name[:300])}" for name in names[:MOST_TESTS]]
            lines += [f"  - … and {len(names) - MOST_TESTS} more"] if len(names) > MOST_TESTS else []
    if verdict.pass_to_pass:
        lines.append(f"- Pass-to-pass (passed before and now): {verdict.pass_to_pass}")
    return [*lines, ""] if lines else []
