"""The image of the sandboxes: built once from ``image/``, found again by the digest of what it is made of."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import queue
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from sandbox.authorities import BUNDLE_IN_IMAGE, CERTIFICATE_VARIABLES, Authorities
from sandbox.bootstrap import BootstrapFailed, make_first_image, read_package_sources
from sandbox.references import Reference, parse_reference

Say = Callable[[str], None]

PULLED = "debian:bookworm-slim"
_RECIPE = Path(__file__).with_name("image")
_MADE = "forgehand/base"
_BUILT = "forgehand/sandbox"
_ADOPTED = "forgehand/adopted"
_LABEL = "forgehand.image"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Only COPY: nothing of a foreign image may run outside a sandbox, and a build container is none.
_LAYER = """\
ARG BASE
FROM ${{BASE}}
COPY --chown=10001:10001 empty/ /workspace/
COPY --chown=10001:10001 empty/ /home/agent/
COPY --chown=10001:10001 empty/ /opt/snapshot/
COPY trusted/ {folder}/
ENV {variables}
USER 10001:10001
WORKDIR /workspace
"""
_TRUSTED = "/opt/forgehand/trusted"
_FIRST_WORD_SECONDS = 10.0
_SILENCE_SECONDS = 120.0
_PULL_SECONDS = 900.0
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class ImageUnavailable(Exception):
    """An image could be neither found, pulled nor built; the message says what to do."""


def ensure_image(
    client: docker.DockerClient,
    *,
    say: Say,
    authorities: Authorities | None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The tag of the sandbox image, built when this engine does not have it: minutes once, milliseconds ever after.

    The tag is the digest of the recipe, of the image it starts from and of the authorities, so a change of any makes a
    new one. ``environment`` gives the host's proxy variables to the build, not to the image.
    Raises ImageUnavailable.
    """
    with _one_at_a_time():
        first = _first_image(client, say)
        recipe = _recipe_files(authorities)
        tag = f"{_BUILT}:{_digest(recipe, str(client.images.get(first).id))}"
        if _has(client, tag):
            return tag
        proxies = {name: value for name, value in (environment or {}).items() if name in _PROXIES and value}
        say(f"Building the sandbox image from {first}: Python, Node, git and build tools. This happens once.")
        started = time.monotonic()
        _build(client, recipe, tag=tag, arguments={"BASE": first, **proxies}, label="sandbox", say=say)
        megabytes = int(client.images.get(tag).attrs["Size"]) // 1_000_000
        say(f"Built {tag} ({megabytes} MB) in {time.monotonic() - started:.0f} s.")
        return tag


def ensure_custom_image(
    client: docker.DockerClient, name: str, *, authorities: Authorities | None = None, say: Say = lambda line: None
) -> str:
    """The tag of ``name`` made fit for a sandbox: pulled when this engine does not have it, never pulled again.

    It keeps all it has and gets one thin layer: three folders of the agent's and the private authorities. An image
    made from ours is used as it is. It must hold bash and git; without python3 each call is an exec. Pulls are
    anonymous: the host's credentials are not for whoever writes a policy. Raises ImageUnavailable.
    """
    reference = _read_name(name)
    name = reference.name
    if not _has(client, name):
        say(f"Pulling {name}.")
        problem = _pull(client, name)
        if problem is not None:
            raise ImageUnavailable(
                f"The image {name} is not on this engine and cannot be pulled ({problem}). "
                f"Check `image:` in the policy, or type on the engine's host: docker pull {name}"
            )
    image = client.images.get(name)
    _refuse_unfit(image, reference)
    if image.labels.get(_LABEL):
        return name
    recipe = _render_layer(authorities)
    tag = f"{_ADOPTED}:{_digest(recipe, str(image.id))}"
    with _one_at_a_time():
        if not _has(client, tag):
            say(f"Adding the agent's folders to {name}.")
            _build(client, recipe, tag=tag, arguments={"BASE": name}, label="adopted", say=lambda line: None)
    return tag


def created_at(image: Any) -> datetime:
    """When the engine made an image."""
    made = datetime.fromisoformat(str(image.attrs["Created"]))
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def prune_adopted(client: docker.DockerClient, *, older_than: timedelta) -> int:
    """Remove the layers added to foreign images that are ``older_than`` an age and in no use; how many went.

    For a moment without running jobs: one might be between two containers. Raises ImageUnavailable.
    """
    oldest = datetime.now(UTC) - older_than
    removed = 0
    try:
        for image in client.images.list(filters={"label": f"{_LABEL}=adopted"}):
            names = [name for name in image.tags if name.startswith(f"{_ADOPTED}:")]
            if names and created_at(image) < oldest:
                with suppress(APIError):  # a container or a snapshot uses it
                    for name in names:
                        client.images.remove(name)
                    removed += 1
    except (DockerException, RequestException) as error:
        raise ImageUnavailable(f"The Docker engine does not list its images: {error}. Type: docker info") from error
    return removed


def _read_name(name: str) -> Reference:
    reference = parse_reference(name)
    if reference is None:
        raise ImageUnavailable(
            f"{name[:100]!r} is no image name. Write it like python:3.12 or ghcr.io/owner/name:tag (an image's id is "
            "none), in `image:` of the policy or in FORGEHAND_SANDBOX_IMAGE."
        )
    if reference.is_ours:
        raise ImageUnavailable(
            f"The image {reference.name} is under forgehand/, which is kept for images that Forgehand makes. "
            "Use an image of another name, or take `image:` out of the policy."
        )
    return reference


def _refuse_unfit(image: Any, reference: Reference) -> None:
    name = reference.name
    listed = image.attrs.get("RepoDigests" if reference.digest else "RepoTags") or ()
    if name not in listed:
        raise ImageUnavailable(f"The engine has another image in place of {name}. Write its full name with a tag.")
    if image.attrs["Config"].get("OnBuild"):
        raise ImageUnavailable(f"The image {name} has ONBUILD triggers, which would run unguarded. Use one without.")
    if image.attrs["Config"].get("Volumes"):
        raise ImageUnavailable(
            f"The image {name} declares a VOLUME, which would be unbounded space on the host. Use one without."
        )


def _first_image(client: docker.DockerClient, say: Say) -> str:
    if _has(client, PULLED):
        return PULLED
    sources = read_package_sources()
    made = f"{_MADE}:{sources.first.suite}" if sources else None
    if made and _has(client, made):
        return made
    say(f"Pulling {PULLED}.")
    problem = _pull(client, PULLED)
    if problem is None:
        return PULLED
    if sources is None or made is None:
        raise ImageUnavailable(f"Cannot pull {PULLED} ({problem}). Give the engine a way to a registry.")
    say(f"Cannot pull {PULLED} ({problem}): making the image from the distribution's packages instead.")
    started = time.monotonic()
    try:
        make_first_image(client, sources, tag=made, say=say)
    except BootstrapFailed as error:
        raise ImageUnavailable(str(error)) from error
    say(f"Made {made} in {time.monotonic() - started:.0f} s.")
    return made


def _has(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient, name: str, *, seconds: float = _PULL_SECONDS) -> str | None:
    """Pull without credentials, or say why not: a registry that is silent for 10 s is as good as absent.

    One that talks may take ``seconds`` in all. In a thread of its own, because the SDK has no time-out for pulls.
    """
    deadline = time.monotonic() + seconds
    given_up = threading.Event()
    events: queue.Queue[str | None] = queue.Queue()
    problems: list[str] = []
    repository, tag = _split_name(name)

    def work() -> None:
        try:
            # An empty configuration, because without one the SDK sends the credentials of the host's user.
            for event in client.api.pull(repository, tag=tag, stream=True, decode=True, auth_config={}):
                if given_up.is_set():
                    break  # the end of the connection ends the engine's pull
                if "error" in event:
                    problems.append(str(event["error"]))
                events.put("talking")
        except (DockerException, OSError) as error:
            problems.append(str(getattr(error, "explanation", None) or error))
        events.put(None)

    threading.Thread(target=work, name=f"pull {name}", daemon=True).start()
    patience = _FIRST_WORD_SECONDS
    try:
        while events.get(timeout=max(min(patience, deadline - time.monotonic()), 0.0)) is not None:
            patience = _SILENCE_SECONDS
            if time.monotonic() > deadline:
                raise queue.Empty
    except queue.Empty:
        given_up.set()
        if time.monotonic() >= deadline:
            return f"it took longer than {seconds:.0f} s"
        return f"the registry was silent for {patience:.0f} s"
    return problems[0].strip() if problems else None


def _split_name(name: str) -> tuple[str, str | None]:
    """Repository and tag; a digest stays with the repository, where the engine understands it."""
    last = name.rpartition("/")[2]
    if "@" in name or ":" not in last:
        return name, None if "@" in name else "latest"
    repository, _, tag = name.rpartition(":")
    return repository, tag


def _recipe_files(authorities: Authorities | None) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted(_RECIPE.iterdir()) if path.is_file()}
    for number, certificate in enumerate(authorities.certificates if authorities else ()):
        files[f"authorities/{number}.crt"] = certificate.encode()
    return files


def _render_layer(authorities: Authorities | None, *, public: Path = Path(BUNDLE_IN_IMAGE)) -> dict[str, bytes]:
    """The context of what a foreign image lacks; reading its own bundle would mean running it, so the host's serves."""
    variables = {"HOME": "/home/agent", "PATH": f"/home/agent/.local/bin:${{PATH:-{_PATH}}}"}
    files = {}
    if authorities:
        variables |= dict.fromkeys(CERTIFICATE_VARIABLES, f"{_TRUSTED}/authorities.pem")
        files["trusted/authorities.pem"] = (public.read_bytes() if public.exists() else b"") + authorities.pem.encode()
    words = " ".join(f"{key}={value}" for key, value in variables.items())
    return {**files, "Dockerfile": _LAYER.format(folder=_TRUSTED, variables=words).encode()}


def _digest(files: Mapping[str, bytes], first: str) -> str:
    whole = hashlib.sha256(first.encode())
    for name, content in sorted(files.items()):
        whole.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:16]


def _build(
    client: docker.DockerClient,
    files: Mapping[str, bytes],
    *,
    tag: str,
    arguments: Mapping[str, str],
    label: str,
    say: Say,
) -> None:
    last: list[str] = []
    try:
        # The host's network: a proxy on loopback and the host's own name resolution work in a build as they do outside.
        stream = client.api.build(
            fileobj=_context(files),
            custom_context=True,
            buildargs=dict(arguments),
            tag=tag,
            labels={_LABEL: label},
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            problem = _report(event, last, say)
            if problem:
                raise ImageUnavailable(
                    f"The image {tag} cannot be built: {problem}\n" + "\n".join(last[-15:]) + "\n"
                    "Mend what the last lines name (often a package mirror or a certificate), and run this again."
                )
    except (APIError, OSError) as error:
        raise ImageUnavailable(f"The engine cannot build an image: {error}. Type: docker info") from error


def _report(event: Mapping[str, Any], last: list[str], say: Say) -> str | None:
    line = str(event.get("stream", "")).strip()
    if line:
        last.extend(line.splitlines())
        if line.startswith("Step "):
            say(line[:100])
    return str(event["error"]).strip() if "error" in event else None


def _context(files: Mapping[str, bytes]) -> io.BytesIO:
    """The build context as a tar; the folders that a recipe copies are there even when empty."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("authorities", "trusted", "empty"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two processes that start together on a new machine must not build the same image twice."""
    with (Path(tempfile.gettempdir()) / f"forgehand-image-{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
