"""The tags of Qwen's tool-call markup, found once in a text, with what stands between neighbours."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["call", "call_end", "function", "function_end", "parameter", "parameter_end", "inline", "drifted"]


class Tag(NamedTuple):
    """One tag. ``name`` is None for a look-alike (``<parameter name="x">``) that counts for balance alone.

    ``inline`` is ``<parameter=NAME=VALUE</parameter>``, a slip seen in the wild, with its ``value``; ``drifted`` is a
    closing tag that lost its shape (``</parameter1>``, ``</parameter/>``, ``</parameter`` before a newline).
    """

    kind: Kind
    start: int
    end: int
    name: str | None = None
    value: str = ""


# Every alternative stops at the next angle bracket, so that no text is scanned twice.
_TAG = re.compile(
    r"""<(?:
      (?P<call>tool_call>)
    | (?P<call_end>/tool_call>)
    | function=(?P<function>[^<>\n]+)>
    | (?P<function_like>function(?:\s[^<>]*)?>)
    | (?P<function_end>/function>)
    | parameter=(?P<parameter>[^<>\n=]+)>
    | parameter=(?P<inline>[^<>\n=]+)=(?P<value>[^<]*)</parameter>
    | (?P<parameter_like>parameter(?:\s[^<>]*)?(?<!/)>)
    | (?P<parameter_end>/parameter>)
    | (?P<drifted>/parameter(?:(?:[\w-]{1,24}|[ \t]?/?)>|(?=\n)))
    )""",
    re.VERBOSE,
)
_LOOK_ALIKE: dict[str, Kind] = {"function_like": "function", "parameter_like": "parameter"}
_CUT_ENDS = ("</function>", "</tool_call>")


class TagList:
    """All tags of a text in order. ``touches(i)``: nothing but white space between tag ``i`` and the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tags = [_tag(match) for match in _TAG.finditer(text)]
        ends = [tag.start for tag in self.tags[1:]] + [len(text)]
        gaps = [text[tag.end : end].strip() for tag, end in zip(self.tags, ends, strict=False)]
        self._touching = [not gap for gap in gaps]
        # A tag that was being closed when the text ended: `</func`. A lone `<` could have become anything.
        self.cut_end = bool(gaps) and len(gaps[-1]) > 1 and any(end.startswith(gaps[-1]) for end in _CUT_ENDS)

    def __len__(self) -> int:
        return len(self.tags)

    def touches(self, index: int) -> bool:
        """Whether only white space stands after a tag, up to the next tag or the end of the text."""
        return self._touching[index]

    def after(self, index: int) -> Tag | None:
        """The tag that directly follows, or None when text, or nothing, follows."""
        return self.tags[index + 1] if self._touching[index] and index + 1 < len(self.tags) else None

    def before(self, index: int) -> Tag | None:
        """The tag that directly precedes, or None."""
        return self.tags[index - 1] if index and self._touching[index - 1] else None

    def ends_text(self, index: int) -> bool:
        """Whether nothing but white space or half a closing tag stands between this tag and the end of the text."""
        return index + 1 == len(self.tags) and (self._touching[index] or self.cut_end)


def _tag(match: re.Match[str]) -> Tag:
    group = match.lastgroup or ""
    if group in _LOOK_ALIKE:
        return Tag(_LOOK_ALIKE[group], match.start(), match.end())
    if group in ("value", "inline"):
        return Tag("inline", match.start(), match.end(), match["inline"].strip(), match["value"])
    name = match[group].strip() if group in ("function", "parameter") else None
    return Tag(group, match.start(), match.end(), name)  # type: ignore[arg-type]  # the other groups are named as kinds
