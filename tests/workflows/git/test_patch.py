"""Which patches may become a commit."""

from __future__ import annotations

import base64
import time
import tracemalloc

import pytest

from sandbox.container import FileChange
from workflows.git.leaks import find_leaks, redact
from workflows.git.patch import PatchRules, changes_of, check_patch, patch_file, patch_of, path_problem, secrets_in
from workflows.types import Patch, PatchFile

RULES = PatchRules()
BASE = "0" * 40
KNOWN = "S3ntinel-abcdef-0123456789"
TOKEN = "ghs_" + "a1B2" * 9


def patch(*files: PatchFile) -> Patch:
    return Patch(base=BASE, files=files)


def text(path: str, content: str = "x\n", mode: str = "100644") -> PatchFile:
    return patch_file(path, mode, content.encode("utf-8", "surrogatepass"))


def link(path: str, target: str) -> PatchFile:
    return text(path, target, "120000")


GOOD_PATHS = [
    "a",
    "src/a b.py",
    "ünïcödé/日本語.txt",
    "docs/ISSUE_TEMPLATE/bug.md",
    ".gitignore",
    "git",
    ".gitx",
    "a.git/x",
    "…",
    "a:b",
    "drivers/aux.c",
    "x" * 255,
]
BAD_PATHS = [
    "",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a//b",
    "a/",
    "./a",
    "a\\b",
    "a\nb",
    "a\x1b[2J",
    "a\x7f",
    "a\x85",
    "a\u2028b",
    ".git",
    ".git/config",
    "sub/.git/hooks/x",
    ".GIT/x",
    ".gIt",
    "git~1/x",
    "GIT~2",
    ".git./x",
    ".git /x",
    ".git::$INDEX_ALLOCATION/x",
    ".g\u200cit/x",
    ".gi\u200dt",
    "\u206a.git",
    ".\uff47\uff49\uff54/config",
    "\uff0egit",
    "a\u202eb",
    "name\U000e0041",
    "trailing.",
    "trailing ",
    "dir./x",
    "x" * 256,
    "é" * 128,
    "/".join(["d" * 200] * 21),
    "bad\udcff",
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_ordinary_paths_pass(path: str) -> None:
    """Ordinary names of the world's repositories are no problem."""
    assert check_patch(patch(text(path)), RULES) == ()


@pytest.mark.parametrize("path", BAD_PATHS)
def test_hostile_paths_are_named(path: str) -> None:
    """A path that is dangerous on some file system is a problem, and is shown without its tricks."""
    assert path_problem(path)
    if path.isprintable() and path:
        assert check_patch(patch(text(path)), RULES)[0].startswith("`")


def test_problems_show_hidden_characters() -> None:
    """The sentence spells out what cannot be seen."""
    assert "<U+202E>" in check_patch(patch(text("a\u202eb")), RULES)[0]
    assert "<U+000A>" in check_patch(patch(text("a\nb")), RULES)[0]


@pytest.mark.parametrize("mode", ["160000", "040000", "100664", "104755", "020666", "", "0100644"])
def test_only_three_modes(mode: str) -> None:
    """Submodules, folders, devices, set-user-id and group-writable files are refused."""
    problems = check_patch(patch(text("x", mode=mode)), RULES)
    assert any("only plain files" in problem for problem in problems)
    assert (
        check_patch(patch(text("x"), text("y", mode="100755"), link("z", "x"), patch_file("w", None, None)), RULES)
        == ()
    )


@pytest.mark.parametrize(
    ("path", "target", "fine"),
    [
        ("a", "b", True),
        ("a", "dir/b", True),
        ("d/a", "../b", True),
        ("d/e/a", "../../b", True),
        ("a", "./b", True),
        ("a", "/etc/passwd", False),
        ("a", "../b", False),
        ("d/a", "../../b", False),
        ("d/a", "x/../../../b", False),
        ("a", "b/../c", False),
        ("a", "", False),
        ("a", ".git/config", False),
        ("d/a", "../.GIT/hooks", False),
        ("a", "C:\\x", False),
        ("a", "C:/x", False),
        ("a", "b\n", False),
        (".gitmodules", "x", False),
        (".gitattributes", "x", False),
        ("sub/.gitignore", "x", False),
        ("gitmod~1", "x", False),
    ],
)
def test_links_stay_inside(path: str, target: str, fine: bool) -> None:
    """A link points into the repository, relatively, and never through another link's parent."""
    assert (check_patch(patch(link(path, target)), RULES) == ()) is fine


@pytest.mark.parametrize(
    "path",
    [".github/workflows/ci.yml", ".GitHub/Workflows/x", ".github/qwen.yml", "CODEOWNERS", ".gitmodules", "AGENTS.md"],
)
@pytest.mark.parametrize("deleted", [True, False])
def test_protected_paths(path: str, deleted: bool) -> None:
    """Changing or deleting a protected path is a problem that names the pattern."""
    file = patch_file(path, None, None) if deleted else text(path)
    assert "protected" in check_patch(patch(file), RULES)[0]


def test_the_policy_protects_more() -> None:
    """The policy's patterns are honoured."""
    rules = PatchRules(protected=("deploy/**",))
    assert "`deploy/**`" in check_patch(patch(text("deploy/x/y")), rules)[0]
    assert check_patch(patch(text("deployment/x")), rules) == ()


def test_attributes_may_not_name_filters() -> None:
    """A filter in a .gitattributes below the root runs programs at checkout; other attributes are fine."""
    opened = PatchRules(protected=("!**/.gitattributes",))
    assert "filters" in check_patch(patch(text("sub/.gitattributes", "* filter=x\n")), opened)[0]
    assert check_patch(patch(text("sub/.gitattributes", "*.py diff=python\n")), opened) == ()


def test_collisions() -> None:
    """Twins, a path as file and folder, and a path named twice are found, in the patch and against the base."""
    assert "letter case" in check_patch(patch(text("Readme"), text("readme")), RULES)[0]
    assert "letter case" in check_patch(patch(text("Dir/a"), text("dir/b")), RULES)[0]
    assert "accents" in check_patch(patch(text("e\u0301"), text("\u00e9")), RULES)[0]
    assert "both a file and a folder" in check_patch(patch(text("a"), text("a/b")), RULES)[0]
    assert "twice" in check_patch(patch(text("a"), patch_file("a", None, None)), RULES)[0]
    assert "letter case" in check_patch(patch(text("readme")), RULES, existing=["README"])[0]
    assert check_patch(patch(text("readme"), patch_file("README", None, None)), RULES, existing=["README"]) == ()
    assert check_patch(patch(text("xt_TCP.h")), RULES, existing=["xt_TCP.h", "xt_tcp.h"]) == ()
    assert check_patch(patch(text("Lib/new")), RULES, existing=["Lib/a", "lib/b"]) == ()
    assert check_patch(patch(patch_file("a", None, None), text("a/b")), RULES, existing=["a"]) == ()


def test_sizes() -> None:
    """Files, bytes a file and bytes in all are bounded, with the numbers in the sentence."""
    rules = PatchRules(max_files=2, max_file_bytes=10, max_total_bytes=15)
    assert check_patch(patch(text("a", "x" * 10), text("b")), rules) == ()
    assert "3 files" in check_patch(patch(text("a"), text("b"), text("c")), rules)[0]
    assert "11 bytes" in check_patch(patch(text("a", "x" * 11)), rules)[0]
    assert "20 bytes" in check_patch(patch(text("a", "x" * 10), text("b", "x" * 10)), rules)[0]
    many = check_patch(patch(*(text(f"../{number}") for number in range(200))), RULES)
    assert len(many) == 51
    assert "150 more" in many[-1]


def test_conversion_round_trips() -> None:
    """What a sandbox exports becomes a sorted patch and comes back the same, through JSON."""
    changes = [FileChange("b", "100755", b"\xff\0"), FileChange("a", None, None), FileChange("c", "120000", b"b")]
    made = patch_of(BASE, changes)
    assert [file.path for file in made.files] == ["a", "b", "c"]
    assert changes_of(Patch.model_validate_json(made.model_dump_json())) == sorted(changes, key=lambda one: one.path)


# --- secrets ------------------------------------------------------------------------------------------------------

SECRETS = [
    TOKEN,
    "github_pat_" + "a1" * 20,
    "sk-ant-api03-" + "Ab1" * 10,
    "sk-" + "a1" * 24,
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-1234567890-abcdef",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
    "hf_" + "aB" * 18,
    KNOWN,
    KNOWN[::-1],
    KNOWN.encode().hex(),
    base64.b64encode(KNOWN.encode()).decode(),
    base64.b64encode(b"x=" + KNOWN.encode() + b"&y").decode(),
    base64.b64encode(b"x" + KNOWN.encode()).decode(),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_added_secrets_are_reported_without_their_value(secret: str) -> None:
    """Path, line and kind of each added secret; never the value."""
    found = secrets_in(patch(text("conf.py", f"a = 1\n\nkey = '{secret}'\n")), lambda path: None, known=[KNOWN])
    assert found
    assert found[0].startswith("`conf.py` line 3: ")
    assert secret not in "".join(found)
    assert secret not in redact(f"see {secret}!", [KNOWN])


@pytest.mark.parametrize(
    "harmless",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "task-force-one-hundred-and-more1",
        "ghs_short",
        "-----BEGIN PUBLIC KEY-----",
        "sk-a-very-long-css-class-name",
        "a" * 40,
        "eyJ.eyJ.x",
        "https://example.com/risk-assessment-2024-final-report",
    ],
)
def test_harmless_text_is_no_secret(harmless: str) -> None:
    """Example keys, words with dashes and hashes are let through."""
    assert find_leaks(harmless, [KNOWN]) == []


def test_a_secret_that_was_there_is_not_new() -> None:
    """What stands in the base, in this file or in one that was moved, is not reported."""
    base = {"old.py": f"key = '{TOKEN}'\n".encode()}
    assert secrets_in(patch(text("old.py", f"# more\nkey = '{TOKEN}'\n")), base.get) == ()
    assert secrets_in(patch(text("new.py", f"k='{TOKEN}'"), patch_file("old.py", None, None)), base.get) == ()
    assert secrets_in(patch(text("new.py", f"k='{TOKEN}'")), base.get)


def test_secrets_in_names_and_in_pieces() -> None:
    """A file name, and a registered value that was split over lines, do not get by."""
    named = secrets_in(patch(text(f"{TOKEN}.txt")), lambda path: None)
    assert "the name" in named[0]
    assert TOKEN not in named[0]
    half = len(KNOWN) // 2
    split = text("a.py", f'x = ("{KNOWN[:half]}"\n     + "{KNOWN[half:]}")\n')
    assert "in pieces" in secrets_in(patch(split), lambda path: None, known=[KNOWN])[0]


@pytest.mark.parametrize(
    "hostile",
    [
        "eyJ" * 400_000,
        "-eyJa" * 200_000,
        "ghs_" * 250_000,
        "sk-" * 300_000,
        "-----BEGIN RSA PRIVATE KEY-----" * 30_000,
        "-----BEGIN " * 90_000,
        "AKIA" * 250_000,
        "sk-aaaa.sk-aaaa_" * 60_000,
    ],
)
def test_a_megabyte_of_anything_is_searched_quickly(hostile: str) -> None:
    """No text makes the search slow."""
    started = time.thread_time()
    secrets_in(patch(text("x", hostile)), lambda path: None, known=[KNOWN])
    assert time.thread_time() - started < 2


def test_paths_are_not_deeper_than_forty_folders() -> None:
    """Forty folders and no more, so that a path cannot take quadratic memory."""
    assert path_problem("a/" * 40 + "x") is None
    assert "40 folders" in (path_problem("a/" * 41 + "x") or "")


def test_deep_paths_take_little_memory() -> None:
    """Hundreds of the deepest paths, in the patch or in the base, take a few megabytes and little time."""
    deep = [f"{number}/" + "a/" * 2000 + "x" for number in range(60)]
    many = [f"{number % 300}/" + "a/" * 39 + f"{number}" for number in range(20_000)]
    tracemalloc.start()
    started = time.thread_time()
    assert check_patch(patch(*(text(path) for path in deep)), PatchRules())
    assert check_patch(patch(text("A/x")), PatchRules(), existing=[*deep, *many]) == ()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert time.thread_time() - started < 10


def test_thousands_of_secrets_are_found_quickly() -> None:
    """At most fifty are named, and what is not new is told in linear time."""
    tokens = [f"ghp_{number:036d}" for number in range(20_000)]
    content = "\n".join(tokens)
    base = {"x": content[:-1].replace("_0", "_1")}
    started = time.thread_time()
    found = secrets_in(patch(text("x", content)), lambda path: base[path].encode())
    assert time.thread_time() - started < 2
    assert len(found) == 50
    assert found[49].startswith("`x` line 50:")
