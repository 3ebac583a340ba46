"""Makes github.json, the part of GitHub's OpenAPI description that our tests judge by, from npm's ``@octokit/openapi``.

Run ``npm pack @octokit/openapi@23.0.2``, unpack it, and give this script ``package/generated/api.github.com.json``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

OUR_PATHS = """
/app
/app/hook/deliveries
/app/hook/deliveries/{delivery_id}
/app/hook/deliveries/{delivery_id}/attempts
/app/installations
/app/installations/{installation_id}
/app/installations/{installation_id}/access_tokens
/installation/repositories
/installation/token
/rate_limit
/repos/{owner}/{repo}
/repos/{owner}/{repo}/actions/jobs/{job_id}
/repos/{owner}/{repo}/actions/jobs/{job_id}/logs
/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun
/repos/{owner}/{repo}/branches
/repos/{owner}/{repo}/branches/{branch}
/repos/{owner}/{repo}/check-runs
/repos/{owner}/{repo}/check-runs/{check_run_id}
/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations
/repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest
/repos/{owner}/{repo}/collaborators/{username}/permission
/repos/{owner}/{repo}/commits
/repos/{owner}/{repo}/commits/{commit_sha}/pulls
/repos/{owner}/{repo}/commits/{ref}
/repos/{owner}/{repo}/commits/{ref}/check-runs
/repos/{owner}/{repo}/compare/{basehead}
/repos/{owner}/{repo}/contents/{path}
/repos/{owner}/{repo}/git/blobs
/repos/{owner}/{repo}/git/blobs/{file_sha}
/repos/{owner}/{repo}/git/commits
/repos/{owner}/{repo}/git/commits/{commit_sha}
/repos/{owner}/{repo}/git/matching-refs/{ref}
/repos/{owner}/{repo}/git/ref/{ref}
/repos/{owner}/{repo}/git/refs
/repos/{owner}/{repo}/git/refs/{ref}
/repos/{owner}/{repo}/git/trees
/repos/{owner}/{repo}/git/trees/{tree_sha}
/repos/{owner}/{repo}/installation
/repos/{owner}/{repo}/issues
/repos/{owner}/{repo}/issues/comments/{comment_id}
/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions
/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}
/repos/{owner}/{repo}/issues/{issue_number}
/repos/{owner}/{repo}/issues/{issue_number}/assignees
/repos/{owner}/{repo}/issues/{issue_number}/comments
/repos/{owner}/{repo}/issues/{issue_number}/events
/repos/{owner}/{repo}/issues/{issue_number}/labels
/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}
/repos/{owner}/{repo}/issues/{issue_number}/reactions
/repos/{owner}/{repo}/issues/{issue_number}/reactions/{reaction_id}
/repos/{owner}/{repo}/labels
/repos/{owner}/{repo}/labels/{name}
/repos/{owner}/{repo}/pulls
/repos/{owner}/{repo}/pulls/comments/{comment_id}
/repos/{owner}/{repo}/pulls/comments/{comment_id}/reactions
/repos/{owner}/{repo}/pulls/comments/{comment_id}/reactions/{reaction_id}
/repos/{owner}/{repo}/pulls/{pull_number}
/repos/{owner}/{repo}/pulls/{pull_number}/comments
/repos/{owner}/{repo}/pulls/{pull_number}/comments/{comment_id}/replies
/repos/{owner}/{repo}/pulls/{pull_number}/commits
/repos/{owner}/{repo}/pulls/{pull_number}/files
/repos/{owner}/{repo}/pulls/{pull_number}/merge
/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers
/repos/{owner}/{repo}/pulls/{pull_number}/reviews
/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}
/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/comments
/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/dismissals
/repos/{owner}/{repo}/releases
/repos/{owner}/{repo}/releases/tags/{tag}
/repos/{owner}/{repo}/releases/{release_id}
/user
/users/{username}
"""

OUR_WEBHOOKS = """
check-run-completed check-run-created check-run-rerequested check-suite-completed delete
issue-comment-created issue-comment-edited issue-comment-deleted
issues-assigned issues-closed issues-deleted issues-edited issues-labeled issues-opened issues-reopened issues-unlabeled
ping
pull-request-assigned pull-request-closed pull-request-converted-to-draft pull-request-edited pull-request-labeled
pull-request-unlabeled pull-request-opened pull-request-ready-for-review pull-request-reopened
pull-request-review-requested pull-request-review-request-removed pull-request-synchronize
pull-request-review-dismissed pull-request-review-submitted
pull-request-review-comment-created pull-request-review-comment-deleted pull-request-review-comment-edited
pull-request-review-thread-resolved pull-request-review-thread-unresolved push
"""

WORDS_ONLY = {"description", "summary", "externalDocs", "x-github", "tags", "x-octokit", "operationId"}


def bare(node: Any, *, names: bool = False) -> Any:
    """The description without prose and examples, which no validation reads. ``names``: the keys here are names."""
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if not names and (key in WORDS_ONLY or key in {"example", "examples"}):
            continue
        kept[key] = bare(value, names=not names and key in {"properties", "patternProperties", "schemas"})
    return kept


def needed(description: dict[str, Any], roots: Any) -> dict[str, dict[str, Any]]:
    """The components that ``roots`` refer to, directly or through others, as ``{kind: {name: component}}``."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [roots]
    while waiting:
        for kind, name in re.findall(r'"#/components/([^/"]+)/([^/"]+)"', json.dumps(waiting.pop())):
            if name not in found.setdefault(kind, {}):
                found[kind][name] = bare(description["components"][kind][name])
                waiting.append(found[kind][name])
    return found


def main(source: str) -> None:
    """Write github.json beside this script. ``source``: the path of the whole description."""
    whole = json.loads(Path(source).read_text())
    paths = {path: bare(whole["paths"][path]) for path in OUR_PATHS.split()}
    hooks = {name: bare(whole["x-webhooks"][name]) for name in OUR_WEBHOOKS.split()}
    pruned = {
        "openapi": whole["openapi"],
        "info": {
            "title": "GitHub REST API, our paths alone",
            "version": whole["info"]["version"],
            "license": whole["info"]["license"],
        },
        "servers": whole["servers"],
        "paths": paths,
        "x-webhooks": hooks,
        "components": needed(whole, [paths, hooks]),
    }
    text = json.dumps(pruned, separators=(",", ":"), sort_keys=True)
    Path(__file__).with_name("github.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
