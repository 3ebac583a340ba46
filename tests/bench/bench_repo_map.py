"""The repo map of a generated repository: built cold, asked warm, and after one commit, in one run.

``python -m tests.bench.bench_repo_map [--files 3000]``. The floor of a cold build is git alone reading the same blobs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.workflows.git.test_mirrors import git
from workflows.git.mirrors import Mirror, Mirrors
from workflows.repomap.languages import grammar_versions
from workflows.repomap.paths import weight_of
from workflows.repomap.repo_map import open_repo_map

WORDS = (
    "order",
    "user",
    "cart",
    "price",
    "stock",
    "mail",
    "token",
    "queue",
    "page",
    "image",
    "search",
    "report",
    "policy",
)
VERBS = ("read", "write", "parse", "render", "check", "open", "close", "find", "make", "send", "keep", "drop")
QUESTIONS = ("the stock report is wrong", "parse_price_3_11 fails on an empty cart", "", "Token6Part3 is slow")


def name_in(number: int, part: int) -> str:
    """The name of a function in a module."""
    return f"{VERBS[(number + part) % len(VERBS)]}_{WORDS[number % len(WORDS)]}_{number}_{part}"


def generate_file(number: int, files: int, choose: random.Random) -> tuple[str, str]:
    """Path and content of a made-up module: three classes and six functions, 130 lines, that use others."""
    word = WORDS[number % len(WORDS)]
    go = number % 5 == 4
    lines = [f"package {word}"] if go else ['"""Generated."""']
    for part in range(9):
        own = name_in(number, part)
        # A few modules are used by many, as in real repositories.
        others = [int(files * choose.random() ** 3) for _ in range(4)]
        calls = [name_in(other, choose.randrange(9)) for other in others]
        if go:
            lines += [f"func {own}(value int) int {{", *(f"\tvalue += {call}(value)" for call in calls)]
            lines += ["\tfor index := 0; index < value; index++ { value -= index }"] * 8 + ["\treturn value", "}"]
        elif part % 3 == 0:
            lines += [f"class {word.title()}{number}Part{part}:", f"    def {own}(self, value: int) -> int:"]
            lines += [f"        value += {call}(value, name='x')" for call in calls]
            lines += ["        value = [item for item in range(value) if item % 2][0]"] * 10 + ["        return value"]
        else:
            lines += [
                f"def {own}(value: int, *, name: str = '') -> int:",
                *(f"    value += {call}(value)" for call in calls),
            ]
            lines += ["    value = max(value, len(name), hash((name, value)))"] * 10 + ["    return value"]
    folder = f"{'tests' if number % 7 == 6 else 'src'}/{word}/{choose.choice(WORDS)}"
    return f"{folder}/module_{number}.{'go' if go else 'py'}", "\n".join([*lines, ""])


def generate_repository(folder: Path, files: int) -> None:
    """A git repository of that many files; the same every time."""
    choose = random.Random(7)
    git_folder = folder / "source"
    git_folder.mkdir()
    for number in range(files):
        path, content = generate_file(number, files, choose)
        (git_folder / path).parent.mkdir(parents=True, exist_ok=True)
        (git_folder / path).write_text(content)
    git(git_folder, "init", "-q", "-b", "main")
    git(git_folder, "add", "-A")
    git(git_folder, "commit", "-q", "-m", "generated")


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=3_000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate_repository(folder, files)
        mirror = Mirrors(folder, local_checkouts=True).at(1)
        measure(mirror, folder, files)


def measure(mirror: Mirror, folder: Path, files: int) -> None:
    source, cache = folder / "source", folder / "map.sqlite3"

    def fetch() -> str:
        mirror.fetch(str(source))
        return git(source, "rev-parse", "HEAD")

    def ask(commit: str, question: str) -> None:
        """A map opened for one question, as a new process does."""
        weight_of.cache_clear()
        grammar_versions.cache_clear()
        with open_repo_map(mirror, commit, cache=cache) as repo_map:
            repo_map.render(query=question)

    commit = fetch()
    size = sum(entry.stat().st_size for entry in source.rglob("module_*"))
    print(f"a generated repository: {files:,} files, {size / 1e6:.1f} MB")
    floor = seconds(lambda: [len(group) for group in mirror.blobs(entry.oid for entry in mirror.tree(commit))])
    cold = seconds(lambda: ask(commit, QUESTIONS[0]))
    warm = [seconds(lambda number=number: ask(commit, QUESTIONS[number % 4])) for number in range(40)]
    with open_repo_map(mirror, commit, cache=cache) as kept:
        held = [seconds(lambda number=number: kept.render(query=QUESTIONS[number % 4])) for number in range(40)]
    changed = next(source.rglob("module_1.py"))
    changed.write_text(changed.read_text() + "def added_later(): pass\n")
    git(source, "commit", "-q", "-a", "-m", "one file")
    following = fetch()
    next_commit = seconds(lambda: ask(following, QUESTIONS[0]))
    median = statistics.median(warm)
    print(f"repo_map floor, git reads the blobs:   {floor * 1000:9.1f} ms")
    print(f"repo_map cold, nothing in the cache:   {cold * 1000:9.1f} ms")
    print(f"repo_map next commit, one file changed:{next_commit * 1000:9.1f} ms")
    print(f"repo_map warm, opened anew:            {median * 1000:9.1f} ms   (worst of 40: {max(warm) * 1000:.1f} ms)")
    print(f"repo_map warm, held open:              {statistics.median(held) * 1000:9.1f} ms")
    print(f"repo_map cold / warm: {cold / median:.0f}x; the cache's file: {cache.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
