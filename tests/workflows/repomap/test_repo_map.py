"""The map of a real repository: what it shows, what it keeps, and that nothing in a repository breaks it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git
from workflows.git.mirrors import Mirror, Mirrors
from workflows.repomap import cache as cache_module
from workflows.repomap.languages import LANGUAGES
from workflows.repomap.repo_map import open_repo_map

SHOP = {
    "shop/store.py": "class OrderStore:\n    def save_order(self, order):\n        pass\n",
    "shop/money.py": "class MoneyAmount:\n    pass\ndef parse_amount(text): return MoneyAmount()\n",
    "shop/web.py": (
        "from shop.store import OrderStore\nfrom shop.money import parse_amount\n"
        "def post_order(request):\n    OrderStore().save_order(parse_amount(request))\n"
    ),
    "shop/batch.py": "from shop.store import OrderStore\ndef nightly_run(): OrderStore().save_order(None)\n",
    "shop/lonely.py": "def never_called(): pass\n",
    "tests/test_store.py": "from shop.store import OrderStore\ndef test_save_order(): OrderStore().save_order(1)\n",
    "vendor/lib.py": "class OrderStoreVendored:\n    def save_order(self): pass\n",
    "README.md": "# Shop\n",
}


class Shop:
    """A repository whose files a test may change, and its mirror."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        git(self.source, "init", "-q", "-b", "main")
        self.mirror: Mirror = Mirrors(folder / "mirrors", local_checkouts=True).at(1)
        self.cache = folder / "maps" / "1.sqlite3"

    def commit(self, files: dict[str, str | bytes]) -> str:
        for name, content in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.source, "add", "-A")
        git(self.source, "commit", "-q", "--allow-empty", "-m", "change")
        self.mirror.fetch(str(self.source))
        return git(self.source, "rev-parse", "HEAD")

    def ask(self, commit: str, **question: object) -> tuple[str, int]:
        """The answer of a map opened for it alone, and how many files were parsed."""
        with open_repo_map(self.mirror, commit, cache=self.cache) as repo_map:
            return repo_map.render(**question), repo_map.parsed  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def files_in(answer: str) -> list[str]:
    """The headings of a map, in its order."""
    return [line for line in answer.splitlines()[1:] if not line.startswith((" ", "…"))]


def test_what_is_referred_to_comes_first(shop: Shop) -> None:
    """Files that others refer to stand before files that nobody uses; tests and vendored files stand last."""
    answer, _ = shop.ask(shop.commit(SHOP))
    order = files_in(answer)
    assert order[0] == "shop/store.py"
    assert order.index("shop/money.py") < order.index("shop/lonely.py") < order.index("tests/test_store.py")
    assert order[-1] == "vendor/lib.py"
    assert "    2   def save_order(self, order)\n" in answer


def test_a_question_moves_its_files_up(shop: Shop) -> None:
    """A name, a part of a name, a path or a touched file puts its file first; the same question, the same answer."""
    commit = shop.commit(SHOP)
    for question in ({"query": "never_called crashes"}, {"query": "see shop/lonely.py"}, {"focus": ["shop/lonely.py"]}):
        answer, _ = shop.ask(commit, **question)
        assert files_in(answer)[0] == "shop/lonely.py"
        assert answer == shop.ask(commit, **question)[0]
    assert files_in(shop.ask(commit, query="the nightly job fails")[0])[0] == "shop/batch.py"


def test_a_folder_is_shown_alone(shop: Shop) -> None:
    """`path` leaves the rest out, and says when there is nothing."""
    commit = shop.commit(SHOP)
    assert files_in(shop.ask(commit, path="./vendor/")[0]) == ["vendor/lib.py"]
    assert files_in(shop.ask(commit, path="shop/web.py")[0]) == ["shop/web.py"]
    assert "Nothing is at `sho`" in shop.ask(commit, path="sho")[0]
    assert len(files_in(shop.ask(commit, path=".")[0])) == 7


def test_tokens_bound_the_answer(shop: Shop) -> None:
    """The answer fits the asked tokens and says how many files are left out."""
    many = {f"src/module_{n}.py": f"class Class{n}:\n    def method_{n}(self): pass\n" for n in range(200)}
    commit = shop.commit(many)
    for tokens in (200, 1_000):
        answer, _ = shop.ask(commit, max_tokens=tokens)
        assert len(answer.encode()) <= 3 * tokens
        assert f"… {200 - len(files_in(answer))} more files" in answer
    assert len(shop.ask(commit, max_tokens=-5)[0].encode()) <= 600


def test_a_blob_is_parsed_once(shop: Shop) -> None:
    """The second map of a commit parses nothing; the next commit parses what it changed."""
    first = shop.commit(SHOP)
    answer, parsed = shop.ask(first)
    assert parsed == 7
    assert shop.ask(first) == (answer, 0)
    second = shop.commit({"shop/lonely.py": "def now_called(): pass\n", "shop/copy_of_web.py": SHOP["shop/web.py"]})
    answer, parsed = shop.ask(second)
    assert parsed == 1
    assert "now_called" in answer
    assert "shop/copy_of_web.py" in answer


def test_an_asked_map_needs_no_git(shop: Shop) -> None:
    """A commit whose map is kept is answered from the cache alone."""
    commit = shop.commit(SHOP)
    answer, _ = shop.ask(commit)
    shop.mirror.path.rename(shop.mirror.path.with_name("gone"))
    assert shop.ask(commit) == (answer, 0)


@pytest.mark.parametrize("spoil", ["garbage", "truncated", "a row", "a graph", "version"])
def test_a_spoiled_cache_is_made_again(shop: Shop, spoil: str) -> None:
    """Whatever happened to the file, the answer is the same."""
    commit = shop.commit(SHOP)
    answer, _ = shop.ask(commit)
    content = shop.cache.read_bytes()
    if spoil == "garbage":
        shop.cache.write_bytes(os.urandom(50_000))
    elif spoil == "truncated":
        shop.cache.write_bytes(content[: len(content) // 2])
    else:
        statement = {
            "a row": "DELETE FROM graph; UPDATE blob SET symbols = x'ff00'",
            "a graph": "UPDATE graph SET body = 'nothing'",
            "version": "DROP TABLE word; PRAGMA user_version = 7",
        }[spoil]
        database = sqlite3.connect(shop.cache)
        database.executescript(statement)
        database.close()
    again, _ = shop.ask(commit)
    assert again == answer
    assert shop.ask(commit) == (answer, 0)


def test_a_cache_that_cannot_be_used_costs_time_only(shop: Shop) -> None:
    """A folder in the file's place, or a lock that is never freed, leaves the map in memory."""
    commit = shop.commit(SHOP)
    shop.cache.mkdir(parents=True)
    with open_repo_map(shop.mirror, commit, cache=shop.cache) as repo_map:
        assert files_in(repo_map.render())[0] == "shop/store.py"
        assert files_in(repo_map.render(query="nightly_run"))[0] == "shop/batch.py"
        assert repo_map.parsed == 7


def test_many_at_once(shop: Shop) -> None:
    """Maps of one repository that are built at the same time give the same answer, from threads of one map too."""
    commit = shop.commit(SHOP)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: shop.ask(commit)[0], range(4)))
    with open_repo_map(shop.mirror, commit, cache=shop.cache) as repo_map, ThreadPoolExecutor(4) as threads:
        answers += threads.map(lambda _: repo_map.render(), range(8))
    assert len(set(answers)) == 1


def test_old_graphs_and_blobs_are_dropped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file does not grow for ever, and what is dropped is made again."""
    monkeypatch.setattr(cache_module, "GRAPHS_KEPT", 2)
    monkeypatch.setattr(cache_module, "STALE_BLOBS_KEPT", 1)
    commits = [shop.commit({"a.py": f"def version_{number}(): pass\n"}) for number in range(4)]
    for number, commit in enumerate(commits):
        assert f"version_{number}" in shop.ask(commit)[0]
    database = sqlite3.connect(shop.cache)
    assert database.execute("SELECT count(*) FROM blob").fetchone()[0] <= 2
    assert database.execute("SELECT count(*) FROM graph").fetchone()[0] <= 2
    database.close()
    assert "version_0" in shop.ask(commits[0])[0]


def test_out_of_time_says_so(shop: Shop) -> None:
    """A build that runs out of time answers with what it has, says what is missing, and the next goes on from there."""
    commit = shop.commit(SHOP)
    with open_repo_map(shop.mirror, commit, cache=shop.cache, seconds=0) as repo_map:
        answer = repo_map.render()
    assert "7 files were not read" in answer
    assert shop.ask(commit)[1] == 7


def test_no_known_language(shop: Shop) -> None:
    """Without a readable language the map lists folders, important ones first; an empty commit is answered too."""
    assert shop.ask(shop.commit({}))[0].startswith("Nothing is in the base commit.")
    commit = shop.commit({f"src/{n}.zig": "" for n in range(9)} | {"vendor/v.zig": "", "Makefile": "all:\n"})
    lines = shop.ask(commit)[0].splitlines()[2:]
    assert lines == [
        "./: Makefile",
        "src/: 0.zig, 1.zig, 2.zig, 3.zig, 4.zig, 5.zig, … 3 more",
        "vendor/: v.zig",
    ]


def test_a_hostile_repository(shop: Shop) -> None:
    """Large, binary, deep and oddly named files, links, and questions of any kind are answered in plain lines."""
    files: dict[str, str | bytes] = {
        "large.js": "var a=[" + "f(x),g.y;" * 220_000,
        "binary.py": bytes(range(256)) * 100,
        "deep.py": "(" * 10_000,
        "latin.py": b"def caf\xe9(): pass\ndef plain_name(): pass\n",
        "names.py": "".join(f"n{number} = {number}\n" for number in range(100_000)),
        "a\nb\x1b[31m.py": "def in_odd_file(): pass\n",
        "sign.py": "def \u202eevil(a): pass\nclass Fine: pass\n",
        **{f"ending/{name}.{language.endings[0]}": "\0" for name, language in LANGUAGES.items()},
    }
    (shop.source / "link.py").symlink_to("class LinkTarget: pass")
    (shop.source / "loop").symlink_to(".")
    commit = shop.commit(files)
    answer, _ = shop.ask(commit)
    assert "plain_name" in answer
    assert "a?b?[31m.py" in answer
    assert "LinkTarget" not in answer
    assert all(line.isprintable() for line in answer.split("\n"))
    for query in ("", "\0\ud800", "(" * 5_000, "plain_name " * 50_000, "..", "/", "%_'\""):
        assert "plain_name" in shop.ask(commit, query=query, focus=["", "/", "\ud800"])[0]


def test_the_worker_is_apart(shop: Shop) -> None:
    """The host's process reads no tree-sitter code for a map that is kept."""
    commit = shop.commit(SHOP)
    answer, _ = shop.ask(commit)
    code = (
        "import sys; from pathlib import Path; from workflows.git.mirrors import Mirror;"
        "from workflows.repomap.repo_map import open_repo_map;"
        f"m = open_repo_map(Mirror(Path({str(shop.mirror.path)!r})), {commit!r}, cache=Path({str(shop.cache)!r}));"
        "print(m.render()); assert not [name for name in sys.modules if name.startswith('tree_sitter')]"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == answer
