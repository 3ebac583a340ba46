# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH211, UP031 - runs inside a container, on the toolbox's own terms
"""Run inside a container: asks the search tools with ripgrep and without, and prints where the answers differ."""

import json
import os
import sys

sys.path[:0] = ["/opt/forgehand"]
from toolbox.paths import Paths  # noqa: E402
from toolbox.search import Search  # noqa: E402
from toolbox.shell import Shell  # noqa: E402

FILES = {
    "a.py": "def one():\n    return 'caf\u00e9'\n",
    "b/a.py": "one\r\ntwo\r\n",
    "b.py": "one two\n",
    "b/c/deep.txt": "x" * 5000 + " one\n\x0cform one\n",
    "long.txt": "one " * 200 + "\n",
    ".hidden/one.txt": "one\n",
    ".gitignore": "*.log\nout/\n",
    "one.log": "one\n",
    "out/one.txt": "one\n",
    "kept.log": "one but tracked\n",
    "sp ace/\u00fc.txt": "one",
    "many.txt": "".join("one %d\n" % number for number in range(300)),
}
BYTES = {"binary": b"one\0two\n", "latin.txt": b"one caf\xe9\n"}
GREPS = [
    {"pattern": "one"},
    {"pattern": "caf\\w$"},
    {"pattern": r"^\w+ \d+$", "limit": 7},
    {"pattern": "(?i)ONE", "glob": "*.py"},
    {"pattern": "one", "glob": "!*.txt"},
    {"pattern": "one", "glob": "b/**/*.txt"},
    {"pattern": "one", "glob": "*.{py,log}"},
    {"pattern": "two$"},
    {"pattern": "one", "path": "b"},
    {"pattern": "one", "path": "one.log"},
    {"pattern": "one", "path": "loop/a.py"},
    {"pattern": "--files"},
    {"pattern": "nowhere"},
    {"pattern": "\u00e9"},
]
GLOBS = [
    {"pattern": "*"},
    {"pattern": "*.py"},
    {"pattern": "**/*.txt"},
    {"pattern": "*.log"},
    {"pattern": "*", "path": "b"},
    {"pattern": "nothing*"},
]


def fill(folder):
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
    for name, content in BYTES.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    os.symlink(".", os.path.join(folder, "loop"))
    os.symlink("a.py", os.path.join(folder, "link.py"))
    os.symlink("second", os.path.join(folder, "first"))
    os.symlink("first", os.path.join(folder, "second"))


def main():
    differences = []
    for root in ("/tmp/ways/plain", "/tmp/ways/repository"):
        os.makedirs(root)
        fill(root)
        if root.endswith("repository"):
            os.system(f"cd {root} && git init -q && git add -f kept.log a.py && rm -f gone")
        shell = Shell(root, dict(os.environ))
        ours, theirs = (Search(Paths([root]), shell, path) for path in ("", None))
        fewer = 4 if root.endswith("plain") else None  # each costs a start of Python
        for name, queries in (("grep", GREPS[:fewer]), ("glob", GLOBS[:fewer])):
            for query in queries:
                answers = [getattr(search, name)(**query) for search in (ours, theirs)]
                if answers[0] != answers[1]:
                    differences.append([root, name, query, *answers])
        bad = [search.grep("(")[2] for search in (ours, theirs)]
        if bad != [{"error": "bad_pattern"}] * 2:
            differences.append(bad)
    print(json.dumps(differences, indent=1))


main()
