"""Which paths no change may touch: what runs on its own, what steers people and agents, and what a policy adds."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.git.globs import matches_pattern

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
