from __future__ import annotations

import time

import pytest

from workflows.repository.detect import Detected
from workflows.repository.policy import Policy
from workflows.repository.setup_steps import choose_setup, parse_copilot_steps, parse_devcontainer

STEPS = """\
on: workflow_dispatch
env: {TOP: "a b"}
jobs:
  copilot-setup-steps:
    runs-on: ubuntu-latest
    defaults: {run: {working-directory: web}}
    steps:
      - uses: actions/checkout@v5
      - name: Install
        run: npm ci
      - run: |
          pip install -r requirements.txt
          pip check
        working-directory: .
        env: {N: 5, FLAG: true}
      - name: Secret
        run: echo ${{ secrets.TOKEN }}
      - name: Windows
        shell: pwsh
        run: Get-Item
"""


def test_run_steps_become_commands() -> None:
    """Run steps keep their order, folder and environment; what cannot be run here is named."""
    setup = parse_copilot_steps(STEPS)

    assert setup.commands == (
        "export TOP='a b'\ncd web\nnpm ci",
        "export TOP='a b'\nexport N=5\nexport FLAG=true\npip install -r requirements.txt\npip check",
    )
    assert "`actions/checkout@v5` (an action" in setup.why[1]
    assert "`Secret` (it uses an expression" in setup.why[1]
    assert "`Windows` (not a bash step)" in setup.why[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jobs: 5",
        "jobs: {other: {steps: [{run: x}]}}",
        "jobs: {copilot-setup-steps: {steps: x}}",
        "jobs: [",
        "\x00",
        "a: 2020-13-45",
        "[" * 50_000,
        "x" * 200_000,
    ],
)
def test_broken_steps_are_no_steps(text: str) -> None:
    """A file that cannot be used says so and stops nothing."""
    setup = parse_copilot_steps(text)

    assert setup.commands == ()
    assert setup.why


def test_bombs_are_not_unpacked() -> None:
    """Merge keys and aliases that mean a billion values cost nothing, wherever in the file they stand."""
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    merges = "".join(f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 9)}]}}\n" for n in range(1, 10))
    started = time.thread_time()

    named = f"a0: &a0 [x]\n{levels}jobs: {{copilot-setup-steps: {{steps: [{{name: *a9, run: ls}}]}}}}\n"
    assert parse_copilot_steps(named).commands == ("ls",)
    assert parse_copilot_steps(f"b0: &b0 {{k: v}}\n{merges}").commands == ()
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ('{"postCreateCommand": "npm ci && npm run build"}', ("npm ci && npm run build",)),
        ('{"postCreateCommand": ["pip", "install", "a b"]}', ("pip install 'a b'",)),
        ('{"postCreateCommand": {"a": "npm ci", "b": ["make", "deps"]}}', ("npm ci", "make deps")),
        (
            '// a\n{ /* "x": */ "image": "h://i", // b\n "postCreateCommand": "cd ${containerWorkspaceFolder}", }',
            ("cd /workspace",),
        ),
        ('{"postCreateCommand": "echo \\"//not a comment,]\\""}', ('echo "//not a comment,]"',)),
        ('{"image": "x"}', ()),
        ('{"postCreateCommand": 5}', ()),
        ("[]", ()),
        ("{", ()),
        ("[" * 50_000, ()),
    ],
)
def test_post_create_command(text: str, commands: tuple[str, ...]) -> None:
    """A string, a list and an object of them are understood, with comments and trailing commas; nonsense is nothing."""
    assert parse_devcontainer(text).commands == commands


def test_order_of_sources() -> None:
    """The policy wins, then Copilot's steps, then the development container, then what was detected."""
    files = {
        ".github/workflows/copilot-setup-steps.yml": STEPS,
        ".devcontainer/devcontainer.json": '{"postCreateCommand": "dev"}',
    }
    detected = Detected(setup_commands=("found",))
    policy = Policy(setup=("mine",))

    assert choose_setup(policy, detected, files.get).source == "policy"
    assert choose_setup(Policy(), detected, files.get).source == "copilot-setup-steps"
    del files[".github/workflows/copilot-setup-steps.yml"]
    assert choose_setup(Policy(), detected, files.get).commands == ("dev",)
    assert choose_setup(Policy(), detected, {}.get).commands == ("found",)
    assert choose_setup(Policy(), Detected(), {}.get).why == ("Nothing has to be installed.",)


def test_steps_of_actions_alone_leave_the_next_source() -> None:
    """Set-up steps that only use actions cannot be run: the next source is used and the reason is told."""
    steps = "jobs: {copilot-setup-steps: {steps: [{uses: actions/setup-node@v5}]}}"
    setup = choose_setup(
        Policy(), Detected(setup_commands=("npm ci",)), {".github/workflows/copilot-setup-steps.yml": steps}.get
    )

    assert setup.source == "detected"
    assert "actions/setup-node" in setup.why[0]
