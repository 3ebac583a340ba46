"""How much a path counts in the map: own source most, tests and examples less, vendored and generated files least."""

from __future__ import annotations

import re
from functools import lru_cache

from workflows.evidence.testfiles import is_test_path

OWN, ASIDE, FOREIGN = 1.0, 0.25, 0.03
_FOREIGN = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|vendor|vendored|_vendor|third_party|thirdparty|external|\.venv|venv"
    r"|site-packages|dist|build|out|target|generated|__generated__|\.yarn)/"
    r"|[._-]min\.(?:js|css)$|[._-]bundle\.js$|_pb2(?:_grpc)?\.pyi?$|\.pb\.(?:go|cc|h)$|\.g\.cs$|\.designer\.cs$"
    r"|[._-]generated\.[^/]*$|(?:^|/)zz_generated[^/]*$",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"(?:^|/)(?:docs?|examples?|samples?|demos?|fixtures?|migrations|benchmarks?|bench|scripts?)/")


@lru_cache(maxsize=50_000)
def weight_of(path: str) -> float:
    """The weight of a path, above 0 and at most 1."""
    if _FOREIGN.search(path):
        return FOREIGN
    return ASIDE if is_test_path(path) or _ASIDE.search(path) else OWN
