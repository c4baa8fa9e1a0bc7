"""Where the bundled server and vLLM 0.32 differ, and what the client does about it.

One table, and a test for each line (`test_differences.py`) that shows the difference on whichever
engine answers: one that disappears in a later vLLM is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        bundled: what the bundled server does.
        vllm: what vLLM does.
        client: how the workbench lives with both.
    """

    name: str
    bundled: str
    vllm: str
    client: str


DIFFERENCES = (
    Difference(
        "unknown_fields",
        "refuses a field that it does not know, by name",
        "ignores it without a word",
        "sends only fields of the dialect; a probe asks whether a field has an effect",
    ),
    Difference(
        "unsupported_fields",
        "refuses top_k, penalties, echo, prompt_logprobs, logit_bias, … unless they do nothing",
        "supports them",
        "sends neutral values only, and those to vLLM alone",
    ),
    Difference(
        "other_constraints",
        "structured_outputs knows `choice`; regex, json and grammar are refused by name",
        "knows all",
        "constrains answers to choices only",
    ),
    Difference(
        "choice_with_ignore_eos",
        "the answer ends after the choice all the same",
        "goes on with free text behind the choice",
        "never sends both",
    ),
    Difference(
        "control_token_in_choice",
        "a choice that spells a control token is spelled out in plain tokens",
        "the control token itself is drawn, and is missing in the text",
        "options hold no control tokens",
    ),
    Difference(
        "control_token_in_message",
        "a control token spelled out in a message stays plain text",
        "is read as the token: a message can end its turn and speak for another role",
        "nothing: red-team prompts that spell control tokens mean something else on vLLM",
    ),
    Difference(
        "roles",
        "system, user and assistant; other roles are refused",
        "hands any role to the chat template",
        "knows the three roles only",
    ),
    Difference(
        "max_tokens_beyond_the_room",
        "refuses max_tokens that do not fit behind the prompt",
        "cuts max_tokens to what fits",
        "reads `length` as a cut answer, and a refusal as too long a request",
    ),
    Difference(
        "max_tokens_beyond_the_context",
        "says `maximum context length`",
        "says `cannot be greater than max_model_len`",
        "must know both for its ContextLengthError",
    ),
    Difference(
        "most_choices",
        "n is at most 64, the rows of its batch",
        "n may be in the thousands",
        "asks for one choice a request: each row has a seed of its own",
    ),
    Difference(
        "seed_width",
        "all 64 bits of a seed count",
        "on a CPU the low 32 bits count",
        "row seeds are hashes: their low bits differ as well",
    ),
    Difference(
        "repeatability",
        "says `exact` where it saw that a text does not depend on its neighbours",
        "promises nothing",
        "rows say `statistical` unless the server says `exact`",
    ),
    Difference(
        "weights_hash",
        "tells the hash of the weights that it serves",
        "tells a folder's name",
        "rows made by vLLM have no weights hash unless it was started by the workbench",
    ),
    Difference(
        "engine_name",
        "/version names the engine",
        "/version tells a bare number; /v1/models says owned_by vllm",
        "reads either",
    ),
    Difference(
        "health_body",
        "/health tells running and waiting sequences as JSON",
        "/health is empty",
        "looks at the status only; numbers come from /metrics",
    ),
    Difference(
        "metrics_told",
        "four metrics",
        "about a hundred",
        "reads those four",
    ),
    Difference(
        "tokenize_key",
        "/tokenize asks for the key",
        "/tokenize is open to all",
        "always sends the key",
    ),
    Difference(
        "unauthorized_body",
        "a 401 has the shape of every other error",
        'a 401 is {"error": "Unauthorized"}',
        "reads both shapes",
    ),
    Difference(
        "missing_route_body",
        "a 404 for a route has the shape of every other error",
        'it is {"detail": "Not Found"}',
        "reads both shapes",
    ),
    Difference(
        "field_error_param",
        "param names the field: `temperature`",
        "a value of another type is `body.temperature`",
        "shows param to a person, and decides nothing by it",
    ),
    Difference(
        "null_fields",
        "leaves out what it does not know",
        "writes many fields that are null",
        "reads fields with a default",
    ),
    Difference(
        "pieces_of_characters",
        "a token that is a piece of a character reads \N{REPLACEMENT CHARACTER}",
        "it reads as nothing, and the last piece as the whole character",
        "asks for return_tokens_as_token_ids when it reads log-probabilities",
    ),
    Difference(
        "chunks",
        "a stream has a chunk for each piece of text",
        "a stream has a chunk for each token, with empty text where nothing is finished, and joins"
        " chunks that nobody has read yet",
        "joins the texts, and counts tokens by usage",
    ),
    Difference(
        "mixed_logprobs",
        "each request gets the alternatives that it asked for",
        "without Triton, while a request with logprob_token_ids runs, its neighbours get the "
        "chosen token and -9999 in the place of their best alternatives",
        "must use one way of scoring at a time on one server",
    ),
    Difference(
        "idle_connections",
        "keeps idle connections for 75 s",
        "closes them after 5 s",
        "drops its own after 4 s, and tries again once they fail",
    ),
)

# Of servers of a reward model, which rate texts at /classify.
RATING_DIFFERENCES = (
    Difference(
        "input_beside_messages",
        "refuses `input` and `messages` together",
        "rates the messages, and ignores the input without a word",
        "sends messages alone",
    ),
    Difference(
        "texts_cut_to_rate",
        "refuses truncate_prompt_tokens",
        "cuts the text, and rates what is left",
        "never asks for it: a text that was cut is another text",
    ),
    Difference(
        "other_ways_to_rate",
        "rates at /classify alone",
        "rates at /pooling as well",
        "asks at /classify",
    ),
    Difference(
        "writing_with_a_reward_model",
        "says that it is a reward model, with 400",
        "has no such route: a bare 404",
        "tells either as a request that was refused",
    ),
)
