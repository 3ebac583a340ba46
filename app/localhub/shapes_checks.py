"""Check runs, their suites, annotations and jobs as GitHub's JSON."""

from __future__ import annotations

from urllib.parse import quote

from app.localhub import bare
from app.localhub.records import CheckRun, CheckSuite, Issue, Json, Repository
from app.localhub.shapes import Links, app_json, node_id, stamp, stamp_or_none

ACTIONS = "github-actions"
WORST = ("failure", "timed_out", "cancelled", "action_required", "stale", "neutral", "success", "skipped")


def check_json(links: Links, repo: Repository, run: CheckRun) -> Json:
    """A check run, with the open pull requests whose head it is on."""
    url = f"{links.repo(repo)}/check-runs/{run.id}"
    page = f"{links.page(repo)}/runs/{run.id}"
    return {
        "id": run.id,
        "name": run.name,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": stamp(run.started_at),
        "completed_at": stamp_or_none(run.completed_at),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite.id},
        "app": app_json(links, run.app),
        "pull_requests": _pulls_on(links, repo, run.head_sha),
    }


def latest_runs(repo: Repository, suite: CheckSuite) -> list[CheckRun]:
    """The latest run of each name in a suite."""
    runs = (run for run in repo.check_runs.values() if run.suite is suite)
    return list({run.name: run for run in sorted(runs, key=lambda run: run.id)}.values())


def _pulls_on(links: Links, repo: Repository, sha: str) -> list[Json]:
    on = (i for i in repo.issues.values() if i.pull and i.state == "open" and i.pull.head_sha == sha)
    return [minimal_pull_json(links, repo, issue) for issue in on]


def minimal_pull_json(links: Links, repo: Repository, issue: Issue) -> Json:
    """A pull request as check runs name it."""
    assert issue.pull
    here = {"id": repo.id, "url": links.repo(repo), "name": repo.name}
    return {
        "id": issue.pull.id,
        "number": issue.number,
        "url": f"{links.repo(repo)}/pulls/{issue.number}",
        "head": {"ref": issue.pull.head, "sha": issue.pull.head_sha, "repo": here},
        "base": {"ref": issue.pull.base, "sha": issue.pull.base_sha, "repo": here},
    }


def annotation_json(links: Links, repo: Repository, *, run: CheckRun, annotation: Json) -> Json:
    """An annotation of a check run."""
    optional: Json = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    where = f"{links.page(repo)}/blob/{run.head_sha}/{quote(str(annotation.get('path')))}"
    return {**optional, **annotation, "blob_href": where}


def conclusion_of(runs: list[CheckRun]) -> str | None:
    """A suite's conclusion: the worst of its latest runs, once all are completed."""
    if not runs or any(run.status != "completed" for run in runs):
        return None
    return min((run.conclusion or "neutral" for run in runs), key=WORST.index)


def suite_json(links: Links, repo: Repository, suite: CheckSuite) -> Json:
    """A check suite as its event has it."""
    url = f"{links.repo(repo)}/check-suites/{suite.id}"
    runs, commit = latest_runs(repo, suite), bare.read_commit(repo.path, suite.head_sha)
    branches = (
        n.removeprefix("refs/heads/") for n, sha in bare.refs(repo.path, "refs/heads/").items() if sha == commit.sha
    )
    ended = [run.completed_at for run in runs if run.completed_at]

    def person(who: bare.Person) -> Json:
        return {"name": who.name, "email": who.email}

    return {
        "id": suite.id,
        "node_id": node_id("CheckSuite", suite.id),
        "head_branch": next(branches, None),
        "head_sha": suite.head_sha,
        "status": "completed" if conclusion_of(runs) else "in_progress",
        "conclusion": conclusion_of(runs),
        "url": url,
        "before": commit.parents[0] if commit.parents else bare.ZERO,
        "after": suite.head_sha,
        "pull_requests": _pulls_on(links, repo, suite.head_sha),
        "app": app_json(links, suite.app),
        "created_at": stamp(suite.created_at),
        "updated_at": stamp(max(ended, default=suite.created_at)),
        "rerequestable": True,
        "runs_rerequestable": suite.app.slug != ACTIONS,
        "latest_check_runs_count": len(runs),
        "check_runs_url": f"{url}/check-runs",
        "head_commit": {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": commit.committer.date,
            "author": person(commit.author),
            "committer": person(commit.committer),
        },
    }


def job_json(links: Links, repo: Repository, run: CheckRun) -> Json:
    """A check run by GitHub Actions as the job that it is; the suite stands for the workflow run."""
    suite = run.suite
    runs, url = f"{links.repo(repo)}/actions/runs/{suite.id}", f"{links.repo(repo)}/actions/jobs/{run.id}"
    waiting = run.status not in ("in_progress", "completed")
    return {
        "id": run.id,
        "node_id": node_id("CheckRun", run.id),
        "run_id": suite.id,
        "run_url": runs,
        "run_attempt": run.attempt,
        "head_sha": run.head_sha,
        "head_branch": None,
        "workflow_name": suite.workflow,
        "name": run.name,
        "url": url,
        "html_url": f"{links.page(repo)}/actions/runs/{suite.id}/job/{run.id}",
        "check_run_url": f"{links.repo(repo)}/check-runs/{run.id}",
        "status": "queued" if waiting else run.status,
        "conclusion": run.conclusion,
        "created_at": stamp(run.started_at),
        "started_at": stamp(run.started_at),
        "completed_at": stamp_or_none(run.completed_at),
        "labels": ["ubuntu-latest"],
        "steps": [],
        **dict.fromkeys(("runner_id", "runner_name", "runner_group_id", "runner_group_name")),
    }
