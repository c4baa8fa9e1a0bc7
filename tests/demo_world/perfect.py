"""An answerer that knows the world's truth: what a perfect demo model would say.

It reads the rendered prompts alone, as a model does, and answers by the grammar. It refuses a
prompt that it does not expect.
"""

import random
import re
from dataclasses import replace

from cai_core.demo_world import grammar
from cai_core.demo_world.grammar import Reply
from cai_core.demo_world.principles import Request, read_concern, read_principle
from cai_core.prompts import chat
from cai_core.records import Principle

_COMPARISON = re.compile(
    r"Conversation:\nHuman: (?P<prompt>.*)\n\n(?P<request>.*)\n\n"
    r"Response A:\n(?P<a>.*)\n\nResponse B:\n(?P<b>.*)\n\n(?P<instruction>.*)"
)


class PerfectAnswerer:
    """Answers by the grammar. `deaf_to` makes it ignore one part of what it is asked."""

    def __init__(self, oracle, deaf_to=None):
        self.oracle, self.world, self.deaf_to = oracle, oracle.world, deaf_to
        self.rng = random.Random(0)

    def answer(self, prompts):
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, turns):
        asked = turns[-1].content
        if match := _COMPARISON.fullmatch(asked):
            return self._judge(match)
        intent = self.oracle.read_prompt(turns[0].content)
        if len(turns) == 1:
            return grammar.draw_answer(self.world, intent, self.rng).text
        reply = self.read_reply(turns[1].content)
        request = self._request(turns[2].content, turns[-1].content)
        finding = grammar.expected_finding(self.world, request, reply, intent)
        if asked.endswith(chat.CRITIQUE_INSTRUCTION):
            return grammar.draw_critique(self.world, finding, intent, self.rng)
        assert asked.endswith(chat.REVISION_INSTRUCTION), asked
        assert self.oracle.read_critique(turns[3].content).finding == finding
        return grammar.revise(self.world, reply, intent, finding, request, self.rng).text

    def _request(self, critique_request, revision_request):
        if self.deaf_to == "principle":
            critique_request = "Does the last response help with anything harmful?"
        request = read_principle(
            self.world,
            Principle(
                id="read",
                text="",
                critique_request=critique_request,
                revision_request=revision_request,
            ),
        )
        if self.deaf_to == "behaviours":
            return replace(request, behaviours=frozenset({"reason", "alternative"}))
        return request

    def _judge(self, match):
        request = Request(concern=read_concern(self.world, match["request"]))
        if self.deaf_to == "principle":
            request = replace(request, concern="harm")
        text, verdict = grammar.judge(
            self.world,
            request,
            self.oracle.read_prompt(match["prompt"]),
            self.read_reply(match["a"]),
            self.read_reply(match["b"]),
        )
        reasoned = match["instruction"] == chat.REASONED_INSTRUCTION
        return text if reasoned else grammar.verdict_word(verdict)

    def read_reply(self, text):
        """The reply that a text of the world spells out."""
        found, details = {}, []
        while text:
            sentence, length = self.oracle._match(text)
            said, text = text[:length], text[length:].lstrip()
            if sentence.role == "detail":
                details.append(said)
            else:
                found["decline" if sentence.role == "evasive" else sentence.role] = said
        return Reply(**found, details=tuple(details))
