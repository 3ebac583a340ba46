from __future__ import annotations

from tests.workflows.agent.told import call
from workflows.agent import notices
from workflows.agent.questions import answer_question
from workflows.agent.tools import offered_tools

SCHEMAS = offered_tools(with_tests=False, may_ask=True)


def test_one_question_stands_as_it_is() -> None:
    """What comes behind it in the reply is not run."""
    question, answers = answer_question(
        [call("ask", question=" Which way? "), call("bash", command="ls")], [], schemas=SCHEMAS
    )
    assert question == "Which way?"
    assert [answer.content for answer in answers] == [notices.ASKED, notices.AFTER_QUESTION]


def test_several_questions_are_one_numbered_list() -> None:
    """Each is put, with all its lines; an empty one is sent back and not counted."""
    calls = [
        call("ask", question="Which way?\nLeft is shorter."),
        call("ask", question=" "),
        call("ask", question="When?"),
    ]
    question, answers = answer_question(calls, [], schemas=SCHEMAS)
    assert question == "1. Which way?\n   Left is shorter.\n2. When?"
    assert [answer.failed for answer in answers] == [False, True, False]


def test_no_question_can_be_put_now() -> None:
    """Then each is answered with the reason, and the session goes on."""
    calls = [call("ask", question="Which way?"), call("ask", question="When?")]
    question, answers = answer_question(calls, [], schemas=SCHEMAS, refused="Not now.")
    assert question == ""
    assert [answer.content for answer in answers] == ["Not now.", "Not now."]
