"""How relevant each file is to a question: the words and paths in it, the files in focus, and what those refer to."""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from workflows.repomap.graph import Graph
from workflows.repomap.paths import weight_of
from workflows.repomap.symbols import SHORTEST_WORD, words_of

LONGEST_QUERY = 20_000
MOST_WORDS = 200
MOST_HOLDERS = 200
QUERY_PART = 0.8
# Of the attention on a file, what goes on to those it refers to: half, so that hubs do not swallow the question.
FOLLOWED = 0.5
SMALLEST_PUSH = 2e-4
_NAME = re.compile(r"[^\W\d]\w*")
_PATHLIKE = re.compile(r"[\w.+@-]+(?:/[\w.+@-]+)*")
_CODELIKE = re.compile(r"_|\d|[a-z][A-Z]")
_STOP = frozenset(
    re.findall(
        r"\w+",
        "the and for not but with from that this when then than are was were has have had its into out you your our "
        "can could should would will does did doing done all any some one two more most other such only own same very "
        "just because been being what which who why how where there here they them their also about after before issue "
        "bug fix error please expected actual behavior behaviour steps reproduce version use used using add new",
    )
)


def query_names(query: str) -> list[str]:
    """The names and words of a question that may be looked up, each once, in its order."""
    found = dict.fromkeys(_NAME.findall(query[:LONGEST_QUERY]))
    return [name for name in found if len(name) >= SHORTEST_WORD and name.lower() not in _STOP][:MOST_WORDS]


def rank_files(
    graph: Graph, query: str, *, focus: Sequence[str], keys_of: Callable[[str], Sequence[str]]
) -> list[tuple[int, float]]:
    """Numbers of files with their relevance, best first, ties by path; a sum of what is referred to and what is asked.

    ``keys_of`` gives the keys of files that define a name with a word, at most MOST_HOLDERS + 1 of them.
    """
    seeds, named = _seeds(graph, query, focus, keys_of)
    near = _near(graph, seeds)
    asked = QUERY_PART if near else 0.0
    scored = []
    for number, file in enumerate(graph.files):
        weight = 1.0 if number in named else weight_of(file.path)
        score = (1 - asked) * graph.ranks[number] + asked * near.get(number, 0.0)
        scored.append((number, score * weight))
    return sorted(scored, key=lambda one: (-one[1], graph.files[one[0]].path))


def _seeds(
    graph: Graph, query: str, focus: Sequence[str], keys_of: Callable[[str], Sequence[str]]
) -> tuple[dict[int, float], set[int]]:
    """Where the question points at, and the files that it names outright."""
    seeds: dict[int, float] = defaultdict(float)
    by_key: dict[str, list[int]] = defaultdict(list)
    for number, file in enumerate(graph.files):
        by_key[file.key].append(number)
    for name in query_names(query):
        lift = 3.0 if _CODELIKE.search(name) else 1.0
        for word in sorted(words_of(name)):
            found = [number for key in keys_of(word) for number in by_key.get(key, ())]
            if 0 < len(found) <= MOST_HOLDERS:
                whole = lift if word == name.lower() else 0.5
                for number in found:
                    seeds[number] += whole * math.log(1 + len(graph.files) / len(found)) / len(found)
    named = _named_files(graph, query, focus)
    for number in named:
        seeds[number] += 10.0
    return dict(seeds), named


def _named_files(graph: Graph, query: str, focus: Sequence[str]) -> set[int]:
    asked = {path.strip(".") for path in _PATHLIKE.findall(query[:LONGEST_QUERY]) if "." in path or "/" in path}
    asked.update(focus)
    if not asked:
        return set()
    tails = tuple("/" + path.removeprefix("./").lstrip("/") for path in sorted(asked) if path)
    found = {number for number, file in enumerate(graph.files) if ("/" + file.path).endswith(tails)}
    return found if len(found) <= MOST_HOLDERS else set()


def _near(graph: Graph, seeds: dict[int, float]) -> dict[int, float]:
    # Personalised PageRank by pushing along references from the seeds: it looks at their neighbourhood alone.
    whole = sum(seeds.values())
    left = {number: seeds[number] / whole for number in sorted(seeds)}
    near: dict[int, float] = defaultdict(float)
    waiting = deque(left)
    while waiting:
        number = waiting.popleft()
        amount = left.pop(number, 0.0)
        near[number] += amount * (1 - FOLLOWED)
        for target, share in zip(graph.targets[number], graph.shares[number], strict=True):
            before = left.get(target, 0.0)
            left[target] = before + amount * FOLLOWED * share
            if before < SMALLEST_PUSH <= left[target]:
                waiting.append(target)
    return dict(near)
