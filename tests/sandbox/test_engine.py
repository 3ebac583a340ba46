"""The choice and the start of a Docker engine: the plan for each kind of machine, and real processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import docker
import pytest

from sandbox.engine import (
    EngineFacts,
    EngineMissing,
    EnginePlan,
    decide_plan,
    engine_report,
    ensure_engine,
    read_distribution,
    start_engine,
)

ROOT = EngineFacts(install=True)
INSTALL = (
    "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=180 "
    "install -y -qq --no-install-recommends docker.io iptables"
)


def lines(plan: EnginePlan | str) -> list[str]:
    assert isinstance(plan, EnginePlan)
    return [" ".join(command) for command in (*plan.prepare, *plan.starts, plan.background, *plan.finish)]


def test_untouched_debian_as_root() -> None:
    """Without systemd the packages are installed, the init script is tried, the bare engine is last."""
    assert lines(decide_plan(ROOT)) == ["apt-get update -qq", INSTALL, "service docker start", "dockerd"]


def test_installed_engine_is_only_started() -> None:
    """An engine that is installed is not installed again, on any distribution; systemd starts it where it runs."""
    assert lines(decide_plan(replace(ROOT, dockerd=True, systemd=True))) == ["systemctl start docker", "dockerd"]
    assert lines(decide_plan(replace(ROOT, dockerd=True, distribution="other"))) == ["dockerd"]


def test_user_with_sudo() -> None:
    """With sudo every line goes through it without a prompt, and the user may open the socket afterwards."""
    plan = lines(decide_plan(replace(ROOT, user="ada", sudo=True, systemd=True, apparmor_tools_missing=True)))
    assert all(line.startswith("sudo -n ") for line in plan)
    assert plan[1] == f"sudo -n {INSTALL} apparmor"
    assert plan[-2:] == ["sudo -n usermod -aG docker ada", "sudo -n chown ada /var/run/docker.sock"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(ROOT, user="ada"), ["no root right or sudo", f"  sudo {INSTALL}", "  sudo service docker start"]),
        (replace(ROOT, install=False), ["nothing may be installed", f"  {INSTALL}", "  service docker start"]),
        (replace(ROOT, distribution="other"), ["Debian and Ubuntu only", "https://docs.docker.com/engine/install/"]),
        (replace(ROOT, engine_named="tcp://10.0.0.1:2375"), ["DOCKER_HOST names tcp://10.0.0.1:2375", "unset"]),
        (replace(ROOT, user="ada", sudo=True, refused=Path("/s")), ["ada may not open /s", "usermod -aG docker ada"]),
    ],
)
def test_refusals_say_what_to_type(facts: EngineFacts, words: list[str]) -> None:
    """Where nothing can or may be done, the message holds the very lines to type."""
    message = decide_plan(facts)
    assert isinstance(message, str)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("install", [True, False])
def test_dead_named_engine_is_not_replaced(install: bool, tmp_path: Path) -> None:
    """A DOCKER_HOST that does not answer is an error even where one could be installed: it was chosen."""
    said: list[str] = []
    with pytest.raises(EngineMissing, match=r"DOCKER_HOST names unix://.*unset DOCKER_HOST"):
        ensure_engine(install=install, say=said.append, environment={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert said == []


def test_living_engine_is_used_as_it_is(engine: docker.DockerClient) -> None:
    """With an engine that answers, nothing is said, installed or started, and it tells what it is."""
    said: list[str] = []
    client = ensure_engine(install=False, say=said.append)
    report = engine_report(client)
    client.close()
    assert said == []
    assert report == engine_report(engine)
    assert report.version[0].isdigit()
    assert report.cgroup_version in ("1", "2")


def test_engine_that_dies_gives_its_last_words(tmp_path: Path) -> None:
    """An engine that does not come up ends in its own last words, its log file and the line to type, at once."""
    plan = EnginePlan((), (("false",),), ("sh", "-c", "echo no iptables here >&2; exit 1"), ())
    said: list[str] = []
    with pytest.raises(EngineMissing, match=r"(?s)no iptables here.*type: sh -c"):
        start_engine(plan, log=tmp_path / "a/dockerd.log", say=said.append, socket=tmp_path / "none", seconds=30)
    assert said[0].startswith("false did not bring the engine up")
    assert "pid" in said[1]
    assert str(tmp_path / "a/dockerd.log") in said[1]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "ubuntu"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "other"),
    ],
)
def test_distributions(text: str, name: str, tmp_path: Path) -> None:
    """Derivatives count as what they are like."""
    (tmp_path / "os-release").write_text(text)
    assert read_distribution(tmp_path / "os-release") == name
    assert read_distribution(tmp_path / "absent") == "other"
