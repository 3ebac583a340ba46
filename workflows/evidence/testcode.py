"""The test functions in a source file: their names, what they assert, and the marks that keep them from running.

Python is read by its grammar, other languages by their usual forms: enough to compare two versions of one file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

MAX_CHARACTERS = 400_000


@dataclass(frozen=True)
class TestFunction:
    """One test: its 1-based ``line``, its ``assertions``, how many of them are ``weak``, and its skip ``marks``.

    ``weak`` ones say that there is something, not what it is; ``empty`` says that only constants are asserted.
    """

    __test__ = False

    name: str
    line: int
    assertions: int
    weak: int
    empty: bool
    marks: frozenset[str]
    body: str


def parse_tests(path: str, text: str) -> dict[str, TestFunction]:
    """The tests of a file by name, in order; empty when the language is not known or the file is very large."""
    suffix = path.rpartition(".")[2].lower()
    if len(text) > MAX_CHARACTERS:
        return {}
    form = _FORMS.get(suffix)
    tests: dict[str, TestFunction] = {}
    seen: dict[str, int] = {}
    for test in _python_tests(text) if suffix == "py" else _tests_by_form(text, form):
        seen[test.name] = seen.get(test.name, 0) + 1
        name = test.name if seen[test.name] == 1 else f"{test.name} #{seen[test.name]}"
        tests[name] = replace(test, name=name)
    return tests


def is_known_language(path: str) -> bool:
    """Whether :func:`parse_tests` can tell tests in a file of this name."""
    suffix = path.rpartition(".")[2].lower()
    return suffix == "py" or suffix in _FORMS


def parse_suite_marks(path: str, text: str) -> dict[str, int]:
    """The marks that skip or single out whole suites of a JavaScript file, each with the line of its last use."""
    if _FORMS.get(path.rpartition(".")[2].lower()) is not _JAVASCRIPT or len(text) > MAX_CHARACTERS:
        return {}
    bare = _without_comments(text, hashes=False)
    return {mark[0]: bare.count("\n", 0, mark.start()) + 1 for mark in _SUITE_MARKS.finditer(bare)}


# Python


def _python_tests(text: str) -> Iterator[TestFunction]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    module_marks: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            module_marks |= _marks(node.value)
        if isinstance(node, ast.Expr):
            module_marks |= _marks(node.value)
    # As the grammar counts lines; a search of the text for each test would be quadratic.
    lines = re.split(r"\r\n|[\r\n]", text)
    yield from _python_tests_in(tree.body, lines, prefix="", marks=frozenset(module_marks))


def _python_tests_in(
    body: list[ast.stmt], lines: list[str], *, prefix: str, marks: frozenset[str]
) -> Iterator[TestFunction]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            own = frozenset(mark for decorator in node.decorator_list for mark in _marks(decorator))
            yield from _python_tests_in(node.body, lines, prefix=f"{prefix}{node.name}.", marks=marks | own)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield _python_test(node, lines, prefix=prefix, marks=marks)


def _python_test(
    node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str], *, prefix: str, marks: frozenset[str]
) -> TestFunction:
    assertions = weak = constant = 0
    found = set(marks)
    for decorator in node.decorator_list:
        found |= _marks(decorator)
    for child in ast.walk(node):
        if isinstance(child, ast.Assert):
            assertions += 1
            constant += isinstance(child.test, ast.Constant)
            weak += not isinstance(child.test, ast.Compare | ast.BoolOp) or _is_not_none(child.test)
        elif isinstance(child, ast.Call):
            name = _dotted(child.func)
            last = name.rpartition(".")[2]
            if last.startswith(("assert", "raises", "warns")) or name in {"pytest.fail", "self.fail"}:
                assertions += 1
                weak += last in {"assertTrue", "assertIsNotNone", "assert_called", "assertIsInstance"}
                constant += last == "assertTrue" and bool(child.args) and isinstance(child.args[0], ast.Constant)
            if name in _SKIP_CALLS:
                found.add(name)
    return TestFunction(
        name=prefix + node.name,
        line=node.lineno,
        assertions=assertions,
        weak=weak,
        empty=0 < assertions == constant,
        marks=frozenset(found),
        body="\n".join(lines[node.lineno - 1 : node.end_lineno]),
    )


_SKIP_CALLS = {"pytest.skip", "pytest.xfail", "self.skipTest", "unittest.skip", "pytest.importorskip"}
_SKIP_MARKS = {"skip", "skipif", "xfail", "skipIf", "skipUnless", "expectedFailure"}


def _marks(node: ast.expr) -> set[str]:
    names = [_dotted(child) for child in ast.walk(node) if isinstance(child, ast.Attribute | ast.Name)]
    return {name for name in names if name.rpartition(".")[2] in _SKIP_MARKS or name in _SKIP_CALLS}


def _dotted(node: ast.expr) -> str:
    """The last names of a chain: a very long one is asked for at each of its links."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 8:
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ".".join(reversed(parts))


def _is_not_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.IsNot)


# Other languages


@dataclass(frozen=True)
class _Form:
    test: re.Pattern[str]
    assertion: re.Pattern[str]
    weak: re.Pattern[str]
    empty: re.Pattern[str]
    mark: re.Pattern[str]
    hash_comments: bool = False


# Repetitions are bounded: these run over files that a stranger may have written.
_JAVASCRIPT = _Form(
    test=re.compile(
        r"\b(?P<head>(?:[xf]?(?:it|test)|specify)(?:\.\w+){0,3})(?:\([^()'\"`]{0,300}\)|`[^`]{0,500}`)?\s{0,9}"
        r"\(\s{0,99}(?P<quote>['\"`])(?P<name>(?:\\.|(?!(?P=quote)).){1,300})(?P=quote)"
    ),
    assertion=re.compile(
        r"\bexpect(?:\.\w{1,60}){0,5}\s?\(|\bassert\w{0,60}(?:\.\w{1,60}){0,5}\s?\(|\.should\b"
        r"|\bt\.(?:is|not|equal|deepEqual|same|ok|truthy|falsy|true|false|throws|throwsAsync|rejects|regex|like|snapshot)\("
    ),
    weak=re.compile(
        r"\.(?:toBeTruthy|toBeDefined|toBeFalsy|toHaveBeenCalled)\(|\.not\.(?:toBeNull|toBeUndefined|toThrow)\("
        r"|\bassert(?:\.ok|\.exists)?\s?\(|\bt\.(?:ok|truthy)\("
    ),
    empty=re.compile(r"\bexpect\((?:true|1)\)\.to|\bassert(?:\.ok|\.equal)?\((?:true|1)\b"),
    mark=re.compile(
        r"\b(?:it|test|specify|this|t)(?:\.\w+)?\.(?:skip|only|todo|fixme|skipIf|fails)\b|\b(?:xit|xtest|fit)(?=\s?\()"
        r"|\b(?:skip|only):\s?true\b"
    ),
)
_SUITE_MARKS = re.compile(r"\b(?:describe|context|suite)\.(?:skip|only|todo|skipIf)\b|\b[xf]describe(?=\s?\()")
_GO = _Form(
    test=re.compile(r"^(?P<head>func) (?P<name>(?:Test|Fuzz|Example)\w*)\(", re.MULTILINE),
    assertion=re.compile(r"\bt\.(?:Error|Fatal|Fail)\w*\(|\b(?:assert|require)\.\w+\("),
    weak=re.compile(r"\b(?:assert|require)\.(?:NotNil|NotEmpty|True)\("),
    empty=re.compile(r"\b(?:assert|require)\.True\(t, true\b"),
    mark=re.compile(r"\bt\.Skip\w*"),
)
_RUST = _Form(
    test=re.compile(
        r"(?P<head>(?:#\[(?:[^\[\]]|\[[^\]]{0,200}\]){0,300}\]\s{0,99}){1,12})"
        r"(?:pub )?(?:async )?fn (?P<name>\w{1,200})"
    ),
    assertion=re.compile(r"\b(?:debug_)?assert\w*!|\bpanic!|\bshould_panic\b"),
    weak=re.compile(r"\bassert!\(\w[\w.]*\.is_(?:ok|some)\(\)"),
    empty=re.compile(r"\bassert!\(true\b|\bassert_eq!\(1, 1\)"),
    mark=re.compile(r"#\[ignore\b"),
)
_JVM = _Form(
    test=re.compile(
        r"(?P<head>(?:@\w{1,60}(?:\([^()]{0,300}\))?\s{1,99}){1,12})"
        r"(?:[\w<>]{1,60}\s{1,9}){0,4}?(?:void|fun)\s{1,9}(?P<name>\w{1,200}|`[^`]{1,200}`)"
    ),
    assertion=re.compile(r"\b(?:assert|verify|expect|fail|should)\w*\s?\("),
    weak=re.compile(r"\b(?:assertNotNull|assertTrue)\s?\("),
    empty=re.compile(r"\bassertTrue\(true\)"),
    mark=re.compile(r"@(?:Disabled|Ignore)\w*"),
)
_RUBY = _Form(
    test=re.compile(
        r"^[ \t]{0,99}(?:(?P<head>[xf]?it|x?test|x?specify)\b[ (]{1,3}(?P<quote>['\"])(?P<name>.{1,300}?)(?P=quote)"
        r"|def (?P<method>test_\w{1,200}))",
        re.MULTILINE,
    ),
    assertion=re.compile(r"\b(?:assert|refute)\w*\b|\bexpect\s?[({]|\.should\b|\bmust_\w+"),
    weak=re.compile(r"\b(?:assert|refute_nil|be_truthy|assert_not_nil)\b"),
    empty=re.compile(r"\bassert\(? ?true\b|expect\(true\)"),
    mark=re.compile(r"^[ \t]{0,99}(?:skip|pending)\b|\b(?:xit|xtest|xspecify|fit)\b", re.MULTILINE),
    hash_comments=True,
)
_FORMS = dict.fromkeys(("js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"), _JAVASCRIPT)
_FORMS |= {"go": _GO, "rs": _RUST, "java": _JVM, "kt": _JVM, "scala": _JVM, "groovy": _JVM, "rb": _RUBY}


def _tests_by_form(text: str, form: _Form | None) -> Iterator[TestFunction]:
    if form is None:
        return
    bare = _without_comments(text, hashes=form.hash_comments)
    starts = [match for match in form.test.finditer(bare) if _is_test(match, form)]
    line, counted = 1, 0
    for index, match in enumerate(starts):
        body = bare[match.start() : starts[index + 1].start() if index + 1 < len(starts) else len(bare)]
        line += bare.count("\n", counted, match.start())
        counted = match.start()
        assertions = len(form.assertion.findall(body))
        constant = len(form.empty.findall(body))
        yield TestFunction(
            name=(match["name"] or match.groupdict().get("method") or "").strip("`"),
            line=line,
            assertions=assertions,
            weak=len(form.weak.findall(body)),
            empty=0 < assertions == constant,
            marks=frozenset(mark[0].strip() for mark in form.mark.finditer(body)),
            body=body,
        )


def _is_test(match: re.Match[str], form: _Form) -> bool:
    if form is _RUST or form is _JVM:
        return (
            re.search(r"\b(?:test|rstest|Test|ParameterizedTest|RepeatedTest|TestFactory)\b", match["head"]) is not None
        )
    return True


def _without_comments(text: str, *, hashes: bool) -> str:
    """The text with comments blanked, lines and strings kept. Each alternative consumes what it looked at."""
    comments = r"#[^\n]*" if hashes else r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    strings = r"\"(?:\\.|[^\"\\\n])*\"?" + ("" if hashes else r"|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*(?:`|\Z)")
    pattern = re.compile(f"({strings})|{comments}", re.DOTALL)
    return pattern.sub(lambda match: match[1] or "\n" * match[0].count("\n"), text)
