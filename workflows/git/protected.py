"""Which paths no change may touch: what runs on its own, what steers people and agents, and what a policy adds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# No policy can open these: GitHub runs the first with secrets, the second is the policy itself, and the third
# makes a clone fetch from elsewhere.
ALWAYS_PROTECTED = (".github/workflows/**", ".github/qwen.yml", ".gitmodules", "**/.gitmodules", "**/.git/**")
DEFAULT_PROTECTED = (
    ".github/**",
    "**/CODEOWNERS",
    "**/.gitattributes",
    "action.y*ml",
    ".githooks/**",
    ".husky/**",
    "lefthook.y*ml",
    ".pre-commit-config.yaml",
    ".envrc",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    ".travis.yml",
    "azure-pipelines.y*ml",
    "Jenkinsfile",
    ".devcontainer/**",
    ".devcontainer.json",
    ".vscode/**",
    "**/AGENTS.md",
    "**/AGENT.md",
    "**/CLAUDE.md",
    "**/GEMINI.md",
    "**/QWEN.md",
    "**/.mcp.json",
    "**/.claude/**",
    "**/.cursor/**",
    ".cursorrules",
    ".windsurfrules",
    ".windsurf/**",
    ".clinerules",
    ".gemini/**",
    ".qwen/**",
    "**/.npmrc",
    "**/.yarnrc.yml",
    "**/pip.conf",
    "**/.cargo/config",
    "**/.cargo/config.toml",
)


def protecting_pattern(path: str, extra: Sequence[str] = ()) -> str | None:
    """The pattern that protects ``path``, or None; ``extra`` is the policy's list.

    The last matching pattern decides, as in .gitignore, and ``!pattern`` opens. Letter case does not matter, because
    it does not on every file system that the repository will be checked out on.
    """
    for pattern in ALWAYS_PROTECTED:
        if matches_pattern(path, pattern):
            return pattern
    for pattern in reversed((*DEFAULT_PROTECTED, *extra)):
        if matches_pattern(path, pattern.removeprefix("!")):
            return None if pattern.startswith("!") else pattern
    return None


def matches_pattern(path: str, glob: str, *, any_case: bool = True) -> bool:
    """Whether a glob with ``**``, as in .gitignore, names a path or a folder above it."""
    return _pattern(glob, any_case).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _pattern(glob: str, any_case: bool) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?)", glob.removeprefix("/"))
    regex = {"**/": r"(?:.*/)?", "/**": r"(?:/.*)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    body = "".join(regex.get(part, re.escape(part)) for part in parts)
    # A folder's name protects what is in it, whether or not it ends with a slash.
    return re.compile(body.removesuffix("/") + r"(?:/.*)?", re.DOTALL | (re.IGNORECASE if any_case else 0))
