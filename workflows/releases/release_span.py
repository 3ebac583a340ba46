"""The two commits that a range of versions means, found in the mirror; or what is wrong with it, for people."""

from __future__ import annotations

import difflib

from workflows.git.history import count_between, find_commit, find_tag, tag_names
from workflows.git.mirrors import Mirror
from workflows.releases.version_range import VersionRange
from workflows.texts.outbound import code_span
from workflows.types import Noun

MOST_COMMITS = 2_000
"""One request each, of at least 5,000 an hour for all jobs of an installation:
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""


class ReleaseSpan(Noun):
    """Everything after the commit ``base`` up to ``head``. ``tag``: the name of the tag that the range ends with, if it
    ends with one. ``mistake``: why the range means nothing.
    """

    base: str = ""
    head: str = ""
    tag: str = ""
    mistake: str = ""


def find_span(mirror: Mirror, wanted: VersionRange, *, default_branch: str) -> ReleaseSpan:
    """Resolve the range; without an end it goes up to the default branch's tip. Raises GitFailure."""
    base = find_commit(mirror, wanted.base)
    end = wanted.head or default_branch
    head = find_commit(mirror, wanted.head) if wanted.head else mirror.resolve(default_branch)
    for name, found in ((wanted.base, base), (end, head)):
        if found is None:
            return ReleaseSpan(mistake=_say_unknown(mirror, name))
    assert base is not None
    assert head is not None
    parted = mirror.merge_base(base, head)
    if parted is None:
        return ReleaseSpan(mistake=f"{code_span(wanted.base)} and {code_span(end)} have no common past.")
    if parted == head:
        hint = f" Did you mean {code_span(f'{wanted.head}..{wanted.base}')}?" if wanted.head and base != head else ""
        return ReleaseSpan(mistake=f"{code_span(end)} has nothing that {code_span(wanted.base)} has not.{hint}")
    count = count_between(mirror, base, head)
    if count > MOST_COMMITS:
        words = (
            f"The range holds {count:,} commits, and GitHub is asked about each of them: {MOST_COMMITS:,} are the most."
        )
        return ReleaseSpan(mistake=f"{words} Take a part of it.")
    tagged = bool(wanted.head) and find_tag(mirror, wanted.head or "") is not None
    return ReleaseSpan(base=base, head=head, tag=(wanted.head or "") if tagged else "")


def _say_unknown(mirror: Mirror, name: str) -> str:
    near = difflib.get_close_matches(name, tag_names(mirror), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(code_span(one) for one in near)}?" if near else ""
    return f"There is no tag, branch or commit {code_span(name)}.{hint}"
