"""The frames between the host and a parsing worker.

A request is a head, the language's name and the content; an answer is its length and the stored symbols. A worker's
first answer is empty: it is ready.
"""

from __future__ import annotations

import struct

REQUEST_HEAD = struct.Struct(">BI")
LENGTH = struct.Struct(">I")
