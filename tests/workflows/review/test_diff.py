"""The diff as files and lines: what real git writes, and what a hostile repository can make it write."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git
from workflows.git.mirrors import Mirrors
from workflows.review.anchors import map_lines
from workflows.review.attributes import parse_attributes
from workflows.review.diff import MOST_FILES, Diff, FileDiff, parse_diff, parse_hunks, parse_lines, render_file
from workflows.review.made_by_tools import made_by
from workflows.review.reading import read_attributes, read_diff
from workflows.review.risk import partition


def head(path: str) -> str:
    return f"diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n+++ b/{path}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def diff_of(repository: Path, *, attributes: dict[str, bytes] | None = None) -> Diff:
    """The diff of what lies in the folder against what was committed."""
    git(repository, "add", "-A")
    raw = git_bytes(repository)
    return parse_diff(raw, attributes=parse_attributes(attributes) if attributes else None)


def git_bytes(repository: Path) -> bytes:
    command = ["git", "-C", str(repository), "diff", "--cached", "-M"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def commit(repository: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(content)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "base")


NAMES = ["plain.py", "with space.py", "ä/ü.py", 'quote".py', "tab\there.py", "x b/y", "a/a/b b/b", "new\nline", "-dash"]


def test_every_name_and_kind_of_change(repository: Path) -> None:
    """Names with spaces, quotes, other letters, ` b/` and line ends are read back, for each kind of change."""
    text = b"".join(b"line %d\n" % number for number in range(30))
    commit(repository, {f"{kind}/{name}": text + kind.encode() + name.encode() for kind in "mdrc" for name in NAMES})
    for name in NAMES:
        (repository / "m" / name).write_bytes(text)
        (repository / "d" / name).unlink()
        target = repository / "renamed" / f"{name}.moved"
        target.parent.mkdir(parents=True, exist_ok=True)
        (repository / "r" / name).rename(target)
        (repository / "c" / name).chmod(0o755)
        (repository / "n" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "n" / name).write_bytes(b"entirely new " + name.encode() + b"\n" * 9)
    found = {(file.status, file.path, file.old_path) for file in diff_of(repository).files}
    expected: set[tuple[str, str, str | None]] = set()
    for name in NAMES:
        expected |= {("modified", f"m/{name}", f"m/{name}"), ("deleted", f"d/{name}", f"d/{name}")}
        expected |= {("renamed", f"renamed/{name}.moved", f"r/{name}"), ("added", f"n/{name}", None)}
        expected |= {("modified", f"c/{name}", f"c/{name}")}
    assert found == expected


def test_binary_mode_and_type_changes(repository: Path) -> None:
    """A binary file is named as left out; a new mode has no lines; a file that became a link is one file."""
    commit(repository, {"image.png": b"\0\1", "run.sh": b"echo\n", "link": b"one\ntwo\n", "empty": b""})
    (repository / "image.png").write_bytes(b"\0\2")
    (repository / "run.sh").chmod(0o755)
    (repository / "link").unlink()
    (repository / "link").symlink_to("run.sh")
    (repository / "empty").unlink()
    diff = diff_of(repository)
    files = {file.path: file for file in diff.files}
    assert diff.left_out == (("image.png", "binary"),)
    assert (files["run.sh"].old_mode, files["run.sh"].new_mode, files["run.sh"].raw) == ("100644", "100755", b"")
    assert files["link"].status == "type_changed"
    assert [(line.kind, line.text, line.old, line.new) for line in parse_lines(files["link"])] == [
        ("removed", "one", 1, None),
        ("removed", "two", 2, None),
        ("added", "run.sh", None, 1),
    ]
    assert (files["empty"].status, files["empty"].lines_changed) == ("deleted", 0)
    assert len(diff.files) == 4


def test_line_ends(repository: Path) -> None:
    """A carriage return is part of its line, an end without newline is marked, and odd separators end no line."""
    commit(repository, {"a.txt": b"one\r\ntwo\x0btwo\x0ctwo\r\nthree"})
    (repository / "a.txt").write_bytes(b"one\r\ntwo\xe2\x80\xa8 \xff\rtwo\r\nthree\n")
    [file] = diff_of(repository).files
    assert [(line.kind, line.text, line.ends_bare) for line in parse_lines(file)] == [
        ("context", "one\r", False),
        ("removed", "two\x0btwo\x0ctwo\r", False),
        ("removed", "three", True),
        ("added", "two\u2028 \ufffd\rtwo\r", False),
        ("added", "three", False),
    ]
    assert (file.added, file.removed, file.lines_changed) == (2, 2, 4)
    assert "     2 +two" in render_file(file)


def test_content_cannot_pass_for_a_header(repository: Path) -> None:
    """Lines that look like headers of files and hunks stay content, whatever they say."""
    commit(repository, {"notes.txt": b"-- a/x\n++ b/y\nkeep\n"})
    tricks = (
        b"++ b/notes.txt\n@@ -1 +1 @@\ndiff --git a/evil b/evil\nnew file mode 100644\n\\ No newline at end of file\n"
    )
    (repository / "notes.txt").write_bytes(tricks + b"keep\n")
    diff = diff_of(repository)
    assert [file.path for file in diff.files] == ["notes.txt"]
    assert "diff --git a/evil b/evil" in [line.text for line in parse_lines(diff.files[0]) if line.kind == "added"]


def test_what_is_left_out_is_named() -> None:
    """Generated, vendored and huge files have their reason, which .gitattributes can change; the rest is read."""
    small = "@@ -1 +1 @@\n-a\n+b\n"
    huge = f"@@ -0,0 +1,20001 @@\n{'+x' + chr(10)}" + "+x\n" * 20_000
    says_so = "@@ -1,2 +1,2 @@\n // Code generated by protoc. DO NOT EDIT.\n-a\n+b\n"
    parts = {
        "src/app.py": small,
        "yarn.lock": small,
        "vendor/x/y.go": small,
        "api.go": says_so,
        "big.sql": huge,
        "wide.js": f"@@ -1 +1 @@\n-a\n+{'x' * 500_001}\n",
        "docs/kept.lock": small,
        "schema.py": small,
        "data.csv": small,
    }
    raw = "".join(head(path) + text for path, text in parts.items()).encode()
    rules = {".gitattributes": b"*.lock linguist-generated\nschema.py linguist-generated=true\n*.csv -diff\n"}
    rules["docs/.gitattributes"] = b"# ours\n/kept.lock -linguist-generated\n"
    diff = parse_diff(raw, attributes=parse_attributes(rules))
    assert [file.path for file in diff.readable] == ["src/app.py", "docs/kept.lock"]
    assert dict(diff.left_out) == {
        "yarn.lock": "generated",
        "vendor/x/y.go": "vendored",
        "api.go": "generated",
        "big.sql": "too large",
        "wide.js": "too large",
        "schema.py": "generated",
        "data.csv": "not shown by GitHub",
    }
    assert not parse_lines(diff.files[4])
    assert parse_lines(diff.files[1])


@pytest.mark.parametrize(
    ("rule", "path", "covers"),
    [
        ("*.js", "a/b/c.js", True),
        ("/*.js", "a/c.js", False),
        ("a/*.js", "a/b/c.js", False),
        ("a/**/c.js", "a/c.js", True),
        ("a/**/c.js", "a/b/d/c.js", True),
        ("a/**", "a/b/c.js", True),
        ("a/**", "a", False),
        ("**/b/*", "x/b/y", True),
        ("a", "a/b", False),
        ("a/", "a/b", False),
        ('"with space"', "deep/with space", True),
        ("[ab].js", "b.js", True),
    ],
)
def test_patterns_of_attributes(rule: str, path: str, covers: bool) -> None:
    """Patterns mean what gitattributes(5) says."""
    said = parse_attributes({".gitattributes": f"{rule} linguist-generated\n".encode()}).of(path)
    assert said == ({"linguist-generated": True} if covers else {})


def test_macros_of_attributes() -> None:
    """What the root's file defines stands for its words wherever it is set; elsewhere git takes no definition."""
    root = b"[attr]made linguist-generated -diff\n*.sql made\n*.txt made linguist-generated=false\n"
    files = {".gitattributes": root, "deep/.gitattributes": b"[attr]ours linguist-vendored\n*.c ours\n*.go made\n"}
    attributes = parse_attributes(files)
    assert attributes.of("a.sql") == {"linguist-generated": True, "diff": False}
    assert attributes.of("a.txt") == {"linguist-generated": False, "diff": False}
    assert attributes.of("deep/a.go") == {"linguist-generated": True, "diff": False}
    assert attributes.of("deep/a.c") == {}


def test_names_that_tools_give() -> None:
    """Lock files, minified and generated code and vendored folders are known by name; names like them are not."""
    made = {name: made_by(name) for name in ("go.sum", "a/b.min.js", "x_pb2.py", "web/node_modules/a/b.js", "gradlew")}
    assert list(made.values()) == ["generated", "generated", "generated", "vendored", "vendored"]
    assert not any(made_by(name) for name in ("lock.py", "src/vendor.py", "minify.js", "sum.go", "generated.py"))
    assert made_by("vendor/x.go", said={"linguist-vendored": False}) == ""
    assert made_by("ios/Pods/AFNetworking/x.m") == made_by("Carthage/Build/x.h") == "vendored"
    assert not made_by("pkg/kubelet/pods/handler.go")
    assert not made_by("src/pods/PodList.tsx")


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("// Code generated by protoc-gen-go. DO NOT EDIT.", True),
        ("+# Generated by the protocol buffer compiler.  DO NOT EDIT!", True),
        (" * @generated SignedSource<<x>>", True),
        ("+/* This is an auto-generated file. */", True),
        ("+'''Autogenerated by Thrift Compiler", True),
        ("# We parse auto-generated code from users", False),
        ("+# Files with @generated in them are skipped", False),
        ('+MARK = "Code generated by us. DO NOT EDIT."', False),
    ],
)
def test_a_comment_begins_by_saying_so(line: str, made: bool) -> None:
    """What speaks of generated code in the midst of a line does not say that it is such."""
    assert bool(made_by("src/app.x", f"+import x\n{line}\n")) is made


def test_a_cut_diff_drops_its_last_file() -> None:
    """Of a text that ends early, the last file may be half there: it is not taken."""
    raw = (head("a") + "@@ -1 +1 @@\n-a\n+b\n" + head("b") + "@@ -1 +1 @@\n-a\n").encode()
    diff = parse_diff(raw, cut=True)
    assert ([file.path for file in diff.files], diff.cut) == (["a"], True)


@pytest.mark.parametrize(
    "body",
    [
        b"@@ -1,5 +1,5 @@\n-a\n+b\n",
        b"@@ -1 +1 @@\n-a\n-a\n+b\n+b\n",
        b"@@ -1 +1 @@\nwhat\n",
        b"@@ nonsense @@\n-a\n",
        b"@@ -999999999 +999999999 @@\n-a\n+b\n",
        b"@@ -0,0 +0,0 @@\n",
        b"",
    ],
)
def test_malformed_hunks_have_no_lines(body: bytes) -> None:
    """What git never wrote raises nothing, and gives either no lines or those that are numbered as it says."""
    [file] = parse_diff(head("a").encode() + body).files
    assert all(999_999_999 in (line.old, line.new) for line in parse_lines(file))
    assert isinstance(file, FileDiff)


def test_files_beyond_those_that_github_lists_are_read() -> None:
    """They take no comment, and have their lines and their rank like any other."""
    names = [f"a{number}.py" for number in range(MOST_FILES)]
    raw = "".join(f"{head(name)}@@ -1 +1 @@\n-a\n+b\n" for name in [*names, "src/auth.py"]).encode()
    diff = parse_diff(raw)
    assert (len(diff.files), diff.cut, diff.left_out) == (MOST_FILES + 1, False, ())
    last = diff.files[-1]
    assert (last.path, last.takes_line_comments, len(parse_lines(last))) == ("src/auth.py", False, 2)
    assert diff.files[-2].takes_line_comments
    assert "src/auth.py" not in map_lines(diff)
    [[first]] = partition(diff, characters=60).parts
    assert first.path == "src/auth.py"


def million_hunks() -> bytes:
    one = "".join(f"@@ -{number} +{number} @@\n-a\n+b\n" for number in range(1, 10_001, 2))
    return "".join(head(f"f{number}.c") + one for number in range(200)).encode()


def test_a_million_hunks_take_linear_time() -> None:
    """A million hunks in two hundred files are split and read, each file by itself."""
    raw = million_hunks()
    began = time.thread_time()
    diff = parse_diff(raw)
    seconds = time.thread_time() - began
    assert sum(1 for file in diff.files for _ in parse_hunks(file)) == 1_000_000
    assert seconds < 3
    assert len(parse_lines(diff.files[7])) == 10_000
    one_file = head("f").encode() + b"@@ -1 +1 @@\n-a\n+b\n" * 1_000_000
    assert parse_diff(one_file).left_out == (("f", "too large"),)


def test_hostile_attributes_take_little_time() -> None:
    """Patterns full of stars against long names are no way to stop us."""
    rules = parse_attributes(
        {".gitattributes": b"*a*a*a*a*a*a*a*a*b linguist-generated\n**/**/**/**/x/** -diff\n" * 900}
    )
    began = time.thread_time()
    assert rules.of("/".join(["a" * 250] * 15)) == {}
    assert time.thread_time() - began < 2


def test_a_diff_is_read_from_the_mirror(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The diff of two commits is read whatever the repository's attributes say, and the base's .gitattributes count."""
    commit(repository, {"a.py": b"a\n", "deep/.gitattributes": b"*.py linguist-generated\n", "deep/b.py": b"b\n"})
    base = git(repository, "rev-parse", "HEAD")
    commit(repository, {"a.py": b"c\n", "deep/b.py": b"d\n", ".gitattributes": b"* -diff linguist-generated\n"})
    mirror = Mirrors(tmp_path_factory.mktemp("mirrors"), local_checkouts=True).at(1)
    mirror.fetch(str(repository))
    diff = read_diff(mirror, base, git(repository, "rev-parse", "HEAD"), attributes=read_attributes(mirror, base))
    assert [file.path for file in diff.readable] == [".gitattributes", "a.py"]
    assert diff.left_out == (("deep/b.py", "generated"),)


@pytest.mark.parametrize(
    ("before", "after", "read"),
    [
        (None, "# @generated\nx = 1\n", False),
        ("# @generated\nx = 1\n", "# @generated\nx = 2\n", False),
        ("# @generated by 1\nx = 1\n", "# @generated by 2\nx = 2\n", False),
        ("x = 1\n", "# @generated\nx = 2\n", True),
        ("# @generated\nx = 1\n", "x = 2\n", True),
    ],
)
def test_a_comment_keeps_no_change_from_being_read(
    repository: Path, before: str | None, after: str, read: bool
) -> None:
    """A file that was there is generated when it says so before and after: its author cannot just claim it."""
    commit(repository, {"other.py": b"1\n"} if before is None else {"a.py": before.encode()})
    (repository / "a.py").write_text(after)
    [file] = diff_of(repository).files
    assert bool(file.left_out) is not read


def test_many_rules_of_attributes_take_little_time() -> None:
    """The patterns of a hostile .gitattributes are read once, and not anew for every file of a large change."""
    lines = "".join(f"**/*a*a*a*{number}/**/x{number} linguist-generated\n" for number in range(2_000))
    rules = parse_attributes({".gitattributes": lines.encode()})
    path = "/".join(f"a{number}a" * 20 for number in range(10))
    started = time.thread_time()
    assert not any(rules.of(f"{path}/f{number}") for number in range(30))
    assert time.thread_time() - started < 2.0
