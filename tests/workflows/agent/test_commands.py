"""What commands are taken for."""

from __future__ import annotations

import time

import pytest

from workflows.agent.commands import classify_command, is_read_only, may_write

KINDS = {
    "look": [
        "ls -la",
        "cd src && ls",
        "find . -name '*.py'",
        "git status",
        "git branch -a",
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
        "sed -n -e '/a/p' a-i.py",
        "awk '{print}' -- a-i.py",
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
        "sed -e 's/a/b/' -i a.py",
        "sed 's/a/b/' a.py -Ei",
        "sed 's/a/b/' --in-place=.bak a.py",
        "awk -i inplace '{print}' a.py",
        "git log --output=x",
        "git branch -D x",
        "git tag --delete x",
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


@pytest.mark.parametrize("command", [command for commands in KINDS.values() for command in commands])
def test_what_may_write_is_known_beside_a_test_run_too(command: str) -> None:
    """By the command that does, wherever it stands."""
    other = command in KINDS["other"]
    assert may_write(command) == other
    assert may_write(f"pytest; {command}") == other
    assert may_write(f"{command} && pytest") == other


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
        "sed " * 5_000,
        "sed -" + "a" * 9_999,
        "git branch -" + "- -" * 5_000,
    ],
)
def test_no_command_takes_long(text: str) -> None:
    """Whatever the words are, they are read in a moment."""
    started = time.thread_time()
    classify_command(text)
    assert time.thread_time() - started < 0.2
