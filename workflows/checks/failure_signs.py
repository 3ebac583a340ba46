"""The lines by which a failed check is recognised: the runner's own words, the tools' complaints, the tests' verdicts.

Each is tied to the form of the program that writes it, so that the same words in somebody's prose or test do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST_LINE = 2_000  # what stands beyond is not looked at


class Signs:
    """Patterns that are each looked for in one line, by what they mean: a clause for people."""

    def __init__(self, *rows: tuple[str, Sequence[str]]) -> None:
        self._starts: list[tuple[str, re.Pattern[str]]] = []
        self._anywhere: list[tuple[str, re.Pattern[str]]] = []
        for meaning, patterns in rows:
            for pattern in patterns:
                # Matching once at the start is much cheaper than a search that fails at every position.
                place = self._starts if pattern.startswith("^") else self._anywhere
                place.append((meaning, re.compile(pattern)))

    def find(self, line: str) -> str | None:
        """The meaning of the first sign that the line shows."""
        line = line[:LONGEST_LINE]
        for meaning, pattern in self._starts:
            if pattern.match(line):
                return meaning
        for meaning, pattern in self._anywhere:
            if pattern.search(line):
                return meaning
        return None


_5XX = r"(?:429|5\d\d)\b"
_DOWN = (
    r"(?:i/o timeout|TLS handshake timeout|[Tt]imed? ?out|[Tt]imeout (?:was reached|exceeded)|deadline exceeded"
    r"|[Cc]onnection (?:was )?(?:reset|refused|closed|aborted)|unexpected EOF|no such host|Temporary failure"
    rf"|[Cc]ould(?: not|n't) (?:resolve|connect)|\b{_5XX})"
)
_NODE = r"(?:ETIMEDOUT|ESOCKETTIMEDOUT|ECONNRESET|ECONNREFUSED|EAI_AGAIN|ENOTFOUND|ERR_SOCKET_TIMEOUT)"
_CURL = (
    r"(?:6|7|18|28|35|52|55|56|92)"  # https://curl.se/libcurl/c/libcurl-errors.html: the network's, not the caller's
)
_NPM = r"^npm (?:ERR!|error) "

# What only the runner or GitHub says, on its own error lines and in annotations on ".github".
RUNNER = Signs(
    # github.com/actions/runner/issues/2040 and 2624, actions/runner-images/issues/10401
    ("the runner was lost", [r"runner\b.{0,120} lost communication with the server"]),
    # github.com/actions/runner/issues/3724, actions/runner-images/issues/10401 and 3517
    ("the runner was stopped", [r"^The runner has received a shutdown signal", r"^Received request to deprovision"]),
    ("the runner broke", [r"^The hosted runner encountered an error while running your job"]),
    (
        "no runner was to be had",
        [r"^An error occurred while provisioning resources", r"was not acquired by Runner of type"],
    ),
    ("GitHub Actions broke", [r"^GitHub Actions has encountered an internal error"]),
    # github.com/actions/runner-images/issues/10699: where the runner keeps its own logs
    ("the runner's disk was full", [r"No space left on device : '.{0,200}/_diag/"]),
    # github.com/actions/runner, ActionManager.cs
    (
        "an action could not be downloaded",
        [r"^Failed to download action '", r"^Failed to resolve action download info"],
    ),
    ("an image could not be pulled", [r"^Docker pull failed with exit code \d+"]),
    # github.com/actions/toolkit: the artifact and cache services
    (
        "GitHub's storage failed",
        [r"^Failed to (?:Create|Finalize|List)Artifacts?\b", rf"^Cache service responded with {_5XX}"],
    ),
    ("GitHub limited the rate", [r"API rate limit exceeded for", r"You have exceeded a secondary rate limit"]),
)

# What package managers, git, Docker and the like say when the network, a registry or the disk fails them.
TOOLS = Signs(
    # github.com/npm/cli/issues/2961 and 8015
    (
        "npm's registry could not be reached",
        [
            rf"{_NPM}(?:code|errno) (?:{_NODE}|E{_5XX})",
            rf"^error .{{0,300}}(?:{_NODE}|trouble with your network connection)",
            rf"^➤ YN0001: .{{0,300}}{_NODE}",
            rf"ERR_PNPM_(?:META_)?FETCH_(?:FAIL|{_5XX})",
        ],
    ),
    # github.com/pypa/pip/issues/9489, conbench/conbench/issues/815
    (
        "the Python index could not be reached",
        [
            r"^ *WARNING: Retrying \(Retry\(total=0,",
            r"pip\._vendor\.\S{0,80}(?:Timeout|MaxRetry|NewConnection|Protocol)Error",
            rf"^ *ERROR: HTTP error {_5XX} while getting",
            r"^ *ERROR: Could not install packages due to an OSError: HTTPSConnectionPool",
            r"HTTPSConnectionPool\(host='(?:pypi\.org|files\.pythonhosted\.org)', port=443\): (?:Read|Max)",
            r"^ *(?:╰─▶|├─▶|Caused by:) .{0,200}(?:operation timed out|dns error|HTTP status server error \(5\d\d)",
        ],
    ),
    ("the distribution's mirror failed", [r"^E: Failed to fetch \S+", r"^E: Unable to fetch some archives"]),
    # github.com/docker/hub-feedback/issues/2429 and 2464, kubernetes-sigs/headlamp/issues/2417
    ("the image registry limited the rate", [r"\btoomanyrequests: "]),
    (
        "the image registry failed",
        [
            rf"Error response from daemon: .{{0,300}}{_DOWN}",
            rf"unexpected status(?: code)?(?: from \S{{1,20}} request to)? https://\S{{1,300}}: {_5XX}",
        ],
    ),
    (
        "a git server could not be reached",
        [
            rf"^fatal: unable to access '\S{{1,300}}': .{{0,200}}{_DOWN}",
            r"^fatal: unable to access '\S{1,300}': (?:Failed to connect|Recv failure|GnuTLS|OpenSSL SSL_)",
            rf"^error: RPC failed; (?:HTTP 5\d\d|curl {_CURL}\b)",
            r"^fatal: early EOF",
        ],
    ),
    (
        "a download failed",
        [
            rf"^curl: \({_CURL}\) ",
            rf"^curl: \(22\) The requested URL returned error: {_5XX}",
            r"^[\d :-]{0,20}ERROR 5\d\d: ",
        ],
    ),
    # github.com/rust-lang/simpleinfra/issues/341, rust-lang/cargo/issues/12035
    (
        "crates could not be downloaded",
        [
            rf"^ +\[{_CURL}\] .{{0,100}}{_DOWN}",
            rf"failed to get (?:200|successful HTTP) response from `\S{{1,300}}, got {_5XX}",
        ],
    ),
    (
        "Go modules could not be downloaded",
        [
            rf"^go: .{{0,400}}https://\S{{1,300}}: .{{0,200}}{_DOWN}",
            rf"^\S+\.go:\d+:\d+: .{{0,400}}https://\S+ .{{0,99}}{_DOWN}",
        ],
    ),
    (
        "Java packages could not be downloaded",
        [
            rf"Could not (?:GET|HEAD) '\S{{1,300}}'.{{0,300}}{_DOWN}",
            rf"Could not transfer artifact \S{{1,200}} .{{0,300}}{_DOWN}",
            rf"Received status code {_5XX}.{{0,40}} from server",
        ],
    ),
    ("NuGet could not be reached", [r"error NU1301: "]),
    (
        "RubyGems could not be reached",
        [rf"Gem::RemoteFetcher::FetchError: .{{0,200}}{_DOWN}", r"^Net::(?:Open|Read)Timeout\b"],
    ),
    ("Packagist could not be reached", [rf"curl error {_CURL} while downloading"]),
    (
        "the disk was full",
        [
            r"^(?:[\w./+-]{1,60}: .{0,300}: |write \S{1,300}: )?[Nn]o space left on device$",
            r"^(?:OSError|IOError): \[Errno 28\] No space left on device",
            rf"{_NPM}code ENOSPC",
            r"^Error: ENOSPC: no space left on device, \w+",
            r"System\.IO\.IOException: No space left on device : '.{0,200}/_diag/",
        ],
    ),
)

# What test runners, compilers and linters say of the code: where one of these stands, the code is to blame.
CODE = Signs(
    (
        "tests failed",
        [
            # pytest, unittest
            r"^=+ (?:FAILURES|ERRORS|short test summary info) =+$",
            r"^(?:FAILED|ERROR) \S+::\S",
            r"^=+ .{0,80}\b[1-9]\d* (?:failed|errors?)\b",
            r"^(?:FAIL|ERROR): \w+ \(",
            r"^FAILED \((?:failures|errors)=",
            # jest, vitest, mocha, TAP, node:test
            r"^\s*(?:Tests|Test Suites|Test Files):? +(?:.{0,60}\b)?[1-9]\d* failed",
            r"^ *FAIL +\S",
            r"^ *● \S.{0,200} › ",
            r"^ *[1-9]\d* failing$",
            r"^ *not ok \d+",
            r"^(?:#|ℹ) fail [1-9]",
            # go, cargo
            r"^ *--- FAIL: ",
            r"^FAIL(?:\t|$)",
            r"^panic: ",
            r"^test result: FAILED",
            r"^test \S+ \.\.\. FAILED",
            r"^thread '.{0,200}' (?:\(\d+\) )?panicked at ",
            # rspec, minitest, maven, gradle, phpunit, dotnet, googletest, ctest
            r"^\d+ examples?, [1-9]\d* failures?",
            r"^\d+ (?:runs|tests), .{0,60}\b[1-9]\d* (?:failures|errors)",
            r"Tests run: \d+, (?:Failures: [1-9]|Failures: 0, Errors: [1-9])",
            r"There were failing tests",
            r"^\S.{0,200} > \S.{0,200} FAILED$",
            r"^(?:FAILURES|ERRORS)!$",
            r"^Failed! +- Failed:",
            r"^\[ +FAILED +\]",
            r"tests passed, [1-9]\d* tests? failed",
        ],
    ),
    ("coverage is too low", [r"Required test coverage of", r"overage threshold for .{1,80} not met"]),
    (
        "the code does not compile",
        [
            r"\berror (?:TS|CS|FS)\d{3,5}: ",
            r"^error\[E\d{4}\]",
            r"^error: could not compile",
            r"^\[ERROR\] COMPILATION ERROR",
            r"^\[ERROR\] \S+\.(?:java|kt):",
            r"^\S{1,300}\.(?:c|cc|cpp|cxx|h|hpp|java|swift|zig):\d+:(?:\d+:)? (?:fatal )?error: ",
            r"^(?:\./)?\S{1,300}\.go:\d+:\d+: (?!.*https://)",
        ],
    ),
    (
        "a linter or type checker complains",
        [
            r"^Found \d+ errors?\b",
            r"^\S{1,300}\.pyi?:\d+:(?:\d+:)? (?:error: |[A-Z]{1,4}\d{2,4} )",
            r"^✖ \d+ problems? \([1-9]",
            r"^error: cannot format ",
            r"^would reformat ",
            r"^[1-9]\d* files? would be reformatted",
            r"Code style issues (?:found )?in",
        ],
    ),
    (
        "the code raises an error",
        [
            r"^(?:E +)?(?:Assertion|Attribute|Import|Indentation|Key|ModuleNotFound|Name|Syntax)Error\b",
            r"^(?:E +)?(?:Type|Value|Reference)Error\b",
        ],
    ),
    (
        "dependencies do not fit together",
        [
            rf"{_NPM}code (?:ERESOLVE|EUSAGE|ETARGET|E404)\b",
            r"ResolutionImpossible",
            r"lock ?file .{0,60}needs to be updated",
        ],
    ),
)

# Checks that wait for people: by the App, by name, and by what they say.
PEOPLE_APPS = frozenset(
    {"cla-assistant", "google-cla", "linux-foundation-easycla", "dco", "policy-bot", "pullapprove", "wip"}
)
PEOPLE_NAMES = Signs(
    (
        "it waits for a person",
        [r"(?i)(?:^|[^a-z])(?:cla|easycla|dco|wip|do not merge|approvals?|reviewers?)(?:[^a-z]|$)"],
    )
)
PEOPLE_WORDS = Signs(
    (
        "it waits for an approval",
        [
            r"(?i)\bwait(?:ing)? (?:for|on) (?:an? )?(?:approval|review)\b",
            r"(?i)\brequires? (?:an? )?(?:approval|review)\b",
        ],
    ),
    ("an agreement is to be signed", [r"(?i)contributor licen[cs]e agreement", r"(?i)\bsigned-off-by\b"]),
    ("a deployment is to be authorised", [r"(?i)authori[sz]ation required to deploy"]),
)

# A line that speaks of a failure inside a test: an assertion, a test's name, a comparison.
TOLD_BY_A_TEST = re.compile(r"(?i)\bassert|\bexpect|\bshould\b|(?:^|[^a-z])test_|\.toThrow|\braises\b|==|!=")
