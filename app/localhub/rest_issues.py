"""REST: issues, labels, comments, reactions and assignees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from app.localhub.acts import (
    add_comment,
    add_labels,
    add_reaction,
    assign,
    delete_comment,
    edit_comment,
    edit_issue,
    open_issue,
    remove_label,
)
from app.localhub.answers import Answer, invalid_request, no_access, no_rights, not_found, validation_failed
from app.localhub.records import Comment, Issue, Json, Label, Reaction, User
from app.localhub.rest import Call, Routes
from app.localhub.shapes import REACTIONS, comment_json, issue_json, label_event_json, label_json, reaction_json
from app.localhub.store import find_comment, find_review_comment, has_role

routes = Routes()
ISSUES = "/repos/{owner}/{repo}/issues"
ISSUE = ISSUES + "/{number:int}"
COMMENT = ISSUES + "/comments/{comment_id:int}"


def _since(call: Call) -> datetime | None:
    text = call.query.get("since")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise invalid_request(f"For 'since', {text!r} is not a time in ISO 8601.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _issue(call: Call, issue: Issue) -> Json:
    return issue_json(call.links, call.repo, issue)


@routes.add("GET", ISSUES, permission="issues", docs="issues/issues#list-repository-issues")
def list_issues(call: Call) -> Answer:
    """Issues and pull requests, newest first; filters ``state``, ``labels``, ``creator``, ``since``."""
    state, since = call.query.get("state", "open"), _since(call)
    labels = [name.strip().lower() for name in call.query.get("labels", "").split(",") if name.strip()]
    creator = call.query.get("creator")
    found = [
        issue
        for issue in call.repo.issues.values()
        if state in ("all", issue.state)
        and (not since or issue.updated_at >= since)
        and (not creator or issue.author.login.lower() == creator.lower())
        and set(labels) <= {label.name.lower() for label in issue.labels}
    ]
    newest = call.query.get("direction", "desc") == "desc"
    by_update = call.query.get("sort") == "updated"
    found.sort(key=lambda i: (i.updated_at, i.number) if by_update else (i.created_at, i.number), reverse=newest)
    return call.page(found, lambda issue: _issue(call, issue))


def _label_names(call: Call) -> list[str]:
    given = call.body.get("labels") or []
    if not isinstance(given, list):
        raise invalid_request("For 'properties/labels', the value is not an array.")
    return [str(item.get("name")) if isinstance(item, dict) else str(item) for item in given]


@routes.add("POST", ISSUES, permission="issues", role="read", docs="issues/issues#create-an-issue")
def create_issue(call: Call) -> Answer:
    """Open an issue; labels by people without triage are left out silently, as on GitHub."""
    title, body = call.body.get("title"), call.text("body")
    if title is None:
        raise invalid_request('"title" wasn\'t supplied.')
    token = call.caller.token
    may_label = bool(token and (token.installation or has_role(call.repo, token.user, "triage")))
    labels = _label_names(call) if may_label else []
    issue = open_issue(call.store, call.repo, call.actor, title=str(title), body=body, labels=labels)
    return Answer(201, _issue(call, issue), {"Location": f"{call.links.repo(call.repo)}/issues/{issue.number}"})


@routes.add("GET", ISSUE, permission="conversation", docs="issues/issues#get-an-issue")
def get_issue(call: Call) -> Answer:
    """One issue or pull request."""
    return Answer(200, _issue(call, call.issue))


def _own_or_triage(call: Call, author: User) -> None:
    token = call.caller.token
    if token and not token.installation and token.user is not author and not has_role(call.repo, token.user, "triage"):
        raise no_rights()


@routes.add("PATCH", ISSUE, permission="conversation", role="read", docs="issues/issues#update-an-issue")
def update_issue(call: Call) -> Answer:
    """Change an issue."""
    issue = call.issue
    _own_or_triage(call, issue.author)
    changes: Json = {name: call.text(name) for name in ("title", "body", "state_reason") if name in call.body}
    if call.body.get("title") is None:
        changes.pop("title", None)
    if "state" in call.body:
        changes["state"] = call.text("state")
        if changes["state"] not in ("open", "closed"):
            raise invalid_request(f'{changes["state"]} is not a member of ["open", "closed"].')
    if "labels" in call.body:
        changes["labels"] = _label_names(call)
    if "assignees" in call.body:
        changes["assignees"] = _people(call)
    edit_issue(call.store, call.repo, issue, actor=call.actor, changes=changes)
    return Answer(200, _issue(call, issue))


def _people(call: Call) -> list[User]:
    found = [call.store.users.get(str(login).lower()) for login in call.body.get("assignees") or []]
    if any(user is None for user in found):
        raise validation_failed("Issue", code="invalid", field="assignees")
    return [user for user in found if user]


@routes.add("POST", ISSUE + "/assignees", permission="conversation", docs="issues/assignees#add-assignees-to-an-issue")
def add_assignees(call: Call) -> Answer:
    """Assign people."""
    people = [*call.issue.assignees, *(user for user in _people(call) if user not in call.issue.assignees)]
    assign(call.store, call.repo, call.issue, actor=call.actor, people=people)
    return Answer(201, _issue(call, call.issue))


def _label(call: Call, label: Label) -> Json:
    return label_json(call.links, call.repo, label)


@routes.add(
    "GET", "/repos/{owner}/{repo}/labels", permission="issues", docs="issues/labels#list-labels-for-a-repository"
)
def list_labels(call: Call) -> Answer:
    """The repository's labels."""
    return call.page(list(call.repo.labels.values()), lambda label: _label(call, label))


@routes.add("POST", "/repos/{owner}/{repo}/labels", permission="issues", docs="issues/labels#create-a-label")
def create_label(call: Call) -> Answer:
    """Make a label."""
    name = call.needed("name")
    if name.lower() in call.repo.labels:
        raise validation_failed("Label", code="already_exists", field="name")
    label = call.store.add_label(call.repo, name, call.text("color") or "ededed")
    label.description = call.text("description")
    return Answer(201, _label(call, label), {"Location": _label(call, label)["url"]})


@routes.add("GET", "/repos/{owner}/{repo}/labels/{name}", permission="issues", docs="issues/labels#get-a-label")
def get_label(call: Call) -> Answer:
    """One label."""
    label = call.repo.labels.get(call.params["name"].lower())
    if label is None:
        raise not_found()
    return Answer(200, _label(call, label))


@routes.add("GET", ISSUE + "/labels", permission="conversation", docs="issues/labels#list-labels-for-an-issue")
def list_issue_labels(call: Call) -> Answer:
    """The labels of an issue."""
    return call.page(call.issue.labels, lambda label: _label(call, label))


@routes.add(
    "POST", ISSUE + "/labels", permission="conversation", role="triage", docs="issues/labels#add-labels-to-an-issue"
)
def add_issue_labels(call: Call) -> Answer:
    """Put labels on an issue; the body is ``{"labels": [...]}`` or the bare list, as GitHub takes both."""
    add_labels(call.store, call.repo, call.issue, actor=call.actor, names=_label_names(call))
    return Answer(200, [_label(call, label) for label in call.issue.labels])


@routes.add(
    "DELETE",
    ISSUE + "/labels/{name}",
    permission="conversation",
    role="triage",
    docs="issues/labels#remove-a-label-from-an-issue",
)
def remove_issue_label(call: Call) -> Answer:
    """Take a label off; 404 ``Label does not exist`` when it is not on."""
    remove_label(call.store, call.repo, call.issue, actor=call.actor, name=call.params["name"])
    return Answer(200, [_label(call, label) for label in call.issue.labels])


@routes.add("GET", ISSUE + "/events", permission="conversation", docs="issues/events#list-issue-events")
def list_events(call: Call) -> Answer:
    """The issue's events, oldest first; of all kinds of them only labels are kept."""
    return call.page(call.issue.label_events, lambda event: label_event_json(call.links, call.repo, event))


def _comment(call: Call, issue: Issue, comment: Comment) -> Json:
    return comment_json(call.links, call.repo, issue, comment=comment)


@routes.add("GET", ISSUE + "/comments", permission="conversation", docs="issues/comments#list-issue-comments")
def list_comments(call: Call) -> Answer:
    """The comments of an issue, oldest first; ``since`` looks at the last update."""
    since, issue = _since(call), call.issue
    found = [comment for comment in issue.comments if not since or comment.updated_at >= since]
    return call.page(found, lambda comment: _comment(call, issue, comment))


@routes.add(
    "POST", ISSUE + "/comments", permission="conversation", role="read", docs="issues/comments#create-an-issue-comment"
)
def create_comment(call: Call) -> Answer:
    """Comment on an issue or pull request."""
    issue, body = call.issue, call.needed("body")
    comment = add_comment(call.store, call.repo, issue, actor=call.actor, body=body)
    shown = _comment(call, issue, comment)
    return Answer(201, shown, {"Location": shown["url"]})


def _found_comment(call: Call) -> tuple[Issue, Comment]:
    found = find_comment(call.repo, int(call.params["comment_id"]))
    if found is None:
        raise not_found()
    return found


@routes.add("GET", COMMENT, permission="conversation", docs="issues/comments#get-an-issue-comment")
def get_comment(call: Call) -> Answer:
    """One comment."""
    return Answer(200, _comment(call, *_found_comment(call)))


def _own_or_write(call: Call, author: User) -> None:
    token = call.caller.token
    if token and token.user is not author:
        if token.installation:
            return  # an App with issues:write may edit any comment
        if not has_role(call.repo, token.user, "write"):
            raise no_access()


@routes.add("PATCH", COMMENT, permission="conversation", role="read", docs="issues/comments#update-an-issue-comment")
def update_comment(call: Call) -> Answer:
    """Edit a comment in place."""
    issue, comment = _found_comment(call)
    _own_or_write(call, comment.author)
    edit_comment(call.store, call.repo, issue, comment=comment, actor=call.actor, body=call.needed("body"))
    return Answer(200, _comment(call, issue, comment))


@routes.add("DELETE", COMMENT, permission="conversation", role="read", docs="issues/comments#delete-an-issue-comment")
def remove_comment(call: Call) -> Answer:
    """Delete a comment."""
    issue, comment = _found_comment(call)
    _own_or_write(call, comment.author)
    delete_comment(call.store, call.repo, issue, comment=comment, actor=call.actor)
    return Answer(204)


def _reactions_of_issue(call: Call) -> list[Reaction]:
    return call.issue.reactions


def _reactions_of_comment(call: Call) -> list[Reaction]:
    return _found_comment(call)[1].reactions


def _reactions_of_review_comment(call: Call) -> list[Reaction]:
    found = find_review_comment(call.repo, int(call.params["comment_id"]))
    if found is None:
        raise not_found()
    return found[1].reactions


def _add_reaction_routes(path: str, permission: str, where: Callable[[Call], list[Reaction]]) -> None:
    docs = "reactions/reactions#create-reaction-for-an-issue"

    @routes.add("GET", path, permission=permission, docs=docs)
    def list_reactions(call: Call) -> Answer:
        wanted = call.query.get("content")
        found = [reaction for reaction in where(call) if wanted in (None, reaction.content)]
        return call.page(found, lambda reaction: reaction_json(call.links, reaction))

    @routes.add("POST", path, permission=permission, role="read", docs=docs)
    def create_reaction(call: Call) -> Answer:
        content = call.needed("content")
        if content not in REACTIONS:
            raise validation_failed("Reaction", code="invalid", field="content")
        reaction, new = add_reaction(call.store, where(call), call.actor.user, content=content)
        return Answer(201 if new else 200, reaction_json(call.links, reaction))

    @routes.add("DELETE", path + "/{reaction_id:int}", permission=permission, role="read", docs=docs)
    def delete_reaction(call: Call) -> Answer:
        kept = where(call)
        found = next((each for each in kept if each.id == int(call.params["reaction_id"])), None)
        if found is None:
            raise not_found()
        if found.user is not call.actor.user:
            raise no_access()
        kept.remove(found)
        return Answer(204)


_add_reaction_routes(ISSUE + "/reactions", "conversation", _reactions_of_issue)
_add_reaction_routes(COMMENT + "/reactions", "conversation", _reactions_of_comment)
_add_reaction_routes(
    "/repos/{owner}/{repo}/pulls/comments/{comment_id:int}/reactions", "pull_requests", _reactions_of_review_comment
)
