"""What commands are taken for."""

from __future__ import annotations

import time

import pytest

from workflows.agent.commands import classify_command, is_read_only

KINDS = {
    "look": [
        "ls -la",
        "cd src && ls",
        "find . -name '*.py'",
        "git status",
        "git log --oneline | wc -l",
        "sleep 5; ps aux",
        "pwd",
        "ls 2>/dev/null",
        'echo "a > b"',
    ],
    "read": [
        "cat a.py",
        "grep -rn 'def add' src | head -20",
        "sed -n 1,40p a.py",
        "git diff",
        "sleep 10; tail -5 build.log",
        "cat a.py 2>&1",
        "head -3 a; ls",
    ],
    "test": [
        "pytest -q",
        "python -m pytest tests/test_a.py -x 2>&1 | tail -20",
        "python3 -m unittest",
        "cd pkg && npm test",
        "npm run test:unit",
        "npx jest a.test.js",
        "PYTHONPATH=. timeout 60 pytest",
        "go test ./...",
        "cargo test",
        "make -j4 test",
        "./gradlew check",
        ".venv/bin/pytest tests",
        "uv run pytest",
        "node --test",
        "python manage.py test shop",
        "./run_tests.sh",
    ],
    "other": [
        "pip install pytest",
        "echo x > a.py",
        "cat > a.py <<'E'\nx\nE",
        "sed -i s/a/b/ a.py",
        "find . -name '*.pyc' -delete",
        "git checkout -- a.py",
        "python fix.py",
        "rm -rf build; ls",
        "make",
        "mypytest",
    ],
}


@pytest.mark.parametrize(("kind", "command"), [(kind, command) for kind in KINDS for command in KINDS[kind]])
def test_a_command_is_known_by_its_words(kind: str, command: str) -> None:
    """Folders, variables, pipes and harmless redirections before or behind it do not hide what a command is for."""
    assert classify_command(command) == kind
    assert is_read_only(command) == (kind in {"look", "read"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a " * 5_000,
        "A=1 " * 5_000,
        "-x " * 5_000,
        "make " + "-a " * 5_000,
        "mvn " + "a " * 5_000,
        '"' * 9_999,
        "npm" + " " * 9_999,
    ],
)
def test_no_command_takes_long(text: str) -> None:
    """Whatever the words are, they are read in a moment."""
    started = time.thread_time()
    classify_command(text)
    assert time.thread_time() - started < 0.2
