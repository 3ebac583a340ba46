"""Releases as GitHub's JSON."""

from __future__ import annotations

from app.localhub.records import Json, Release, Repository
from app.localhub.shapes import Links, node_id, stamp, stamp_or_none, user_json


def release_json(links: Links, repo: Repository, release: Release) -> Json:
    """A release; a draft's page has no tag in its address."""
    url = f"{links.repo(repo)}/releases/{release.id}"
    place = f"untagged-{release.id:020x}" if release.draft else release.tag
    archive = None if release.draft else f"{links.repo(repo)}/{{}}/refs/tags/{release.tag}"
    return {
        "url": url,
        "assets_url": f"{url}/assets",
        "upload_url": f"{url}/assets{{?name,label}}",
        "html_url": f"{links.page(repo)}/releases/tag/{place}",
        "id": release.id,
        "node_id": node_id("Release", release.id),
        "author": user_json(links, release.author),
        "tag_name": release.tag,
        "target_commitish": release.target,
        "name": release.name,
        "body": release.body,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "immutable": False,
        "created_at": stamp(release.created_at),
        "published_at": stamp_or_none(release.published_at),
        "tarball_url": archive.format("tarball") if archive else None,
        "zipball_url": archive.format("zipball") if archive else None,
        "assets": [],
    }
