"""What the composition root refuses and guards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from app.composition import Composition
from app.github_retry import RetryRules
from app.settings import Settings, SettingsError, variable_names
from sandbox.images import ImageUnavailable
from tests.app.fake_clock import FakeClock
from tests.app.rude_server import answer, rude_server
from tests.workflows.durable.test_queue import make, until
from workflows.durable.run import JobPostponed
from workflows.services import BrokenWorld


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A composition from settings alone, without this machine's own."""
    for names in variable_names().values():
        for name in names:
            monkeypatch.delenv(name, raising=False)

    def compose(**values: Any) -> Composition:
        return Composition(Settings(data_dir=tmp_path / "data", **values), say=lambda line: None)

    return compose


def test_a_policys_image_needs_the_operators_word(compose: Any) -> None:
    """Without a setting no policy names an image; the refusal names image and setting, and nothing is pulled."""
    for settings in ({}, {"allowed_images": "python:3.*"}, {"sandbox_image": "localhost:1/acme/own:2"}):
        with pytest.raises(ImageUnavailable, match=r"localhost:1/acme/own:1.*FORGEHAND_ALLOWED_IMAGES"):
            compose(**settings).image("localhost:1/acme/own:1")


@pytest.mark.parametrize(
    "settings", [{"allowed_images": "x, localhost:1/acme/*"}, {"sandbox_image": "localhost:1/acme/own:1"}]
)
@pytest.mark.usefixtures("engine")
def test_an_allowed_image_is_looked_for(compose: Any, settings: dict[str, str]) -> None:
    """What a pattern allows, and what is the operator's own anyway, is found or pulled."""
    with pytest.raises(ImageUnavailable, match="localhost:1/acme/own:1 is not on this engine"):
        compose(**settings).image("localhost:1/acme/own:1")


def test_the_data_folder_is_closed_to_others(compose: Any) -> None:
    """Whichever part comes first, the data folder is for its owner alone."""
    composition = compose()
    composition.queue(worker=False)
    assert composition.settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_starts_no_job(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less room than a job needs it is refused before an engine is asked, and told what is missing."""
    monkeypatch.setattr("app.composition.LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(BrokenWorld, match=r"MB left, and a job needs.*make room"):
        compose(docker_host="unix:///nowhere.sock").find_workshop()


def test_writes_keep_apart_unless_the_operator_says_otherwise(compose: Any) -> None:
    """A second, as github.com asks for; a GitHub Enterprise Server without limits needs none."""
    assert compose().rules.between_writes == 1.0
    assert compose(github_write_seconds=0).rules.between_writes == 0.0


def test_work_on_a_checkout_needs_no_app(compose: Any) -> None:
    """Without an App on GitHub the services are there; under our name they are once there is one."""
    composition = compose(openai_base_url="http://localhost:1/v1", model="m")
    assert composition.job_services.spoken.login == ""
    with pytest.raises(SettingsError, match="App is not set up"):
        composition.named_services()


def test_a_job_is_not_begun_while_its_installation_is_held_back(compose: Any) -> None:
    """Once a limit is known, the next job of the installation leaves its thread before it asks GitHub for anything."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answers = [
        answer(200, {"id": 1, "slug": "forgehand"}),
        answer(200, {"permissions": {}}),
        answer(201, {"token": "ghs_" + "a" * 36, "expires_at": expires}),
        answer(403, {"message": "You have exceeded a secondary rate limit"}, Retry_After="3000"),
    ]
    with rude_server(*answers) as server:
        composition = compose(**as_app(server.url))
        queue = composition.queue(worker=True)
        queue.start()
        try:
            with pytest.raises(JobPostponed):
                composition.repository(make()[1].repository, patience=5.0).fetch_repository()
            assert len(server.requests) == 4
            with capture_logs() as logs:
                delivery, job = make("fix_issue")
                queue.submit(delivery, job, "Started.")
                until(lambda: any(entry["event"] == "job_postponed" for entry in logs))
            assert queue.job(job.id).outcome is None
            assert len(server.requests) == 4
        finally:
            queue.stop(5)
            composition.close()


def as_app(github_api_url: str) -> dict[str, Any]:
    """The settings of an App at this GitHub."""
    model = {"openai_base_url": "http://localhost:1/v1", "model": "m"}
    return {**model, "app_id": 1, "private_key": private_key(), "github_api_url": github_api_url}


def private_key() -> str:
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def test_an_admission_does_not_wait_to_learn_our_name(compose: Any) -> None:
    """While GitHub limits the App as it starts, an admission is put off and keeps no thread."""
    time_ = FakeClock()
    with rude_server(answer(403, {"message": "API rate limit exceeded"}, Retry_After="3000")) as server:
        composition = compose(**as_app(server.url))
        composition.rules = RetryRules(clock=time_.clock)
        with pytest.raises(JobPostponed) as postponed:
            composition.admission_services()
        composition.close()
    assert (postponed.value.seconds, time_.sleeps) == (3000.0, [])
