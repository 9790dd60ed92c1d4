"""A tokenizer of Qwen's kind whose tokens are single bytes, for networks without weights."""

from __future__ import annotations

from typing import Any

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# FLUX.2 gives each message as a list of texts, others as one text.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endif %}<|im_end|>"
    "{% endfor %}"
)


def byte_tokenizer() -> Any:
    """A tokenizer with a chat template."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    tokens = [*MARKS, *sorted(ByteLevel.alphabet())]
    made = Qwen2Tokenizer(vocab={one: index for index, one in enumerate(tokens)}, merges=[])
    made.add_special_tokens({"additional_special_tokens": list(MARKS[1:])})
    made.chat_template = TEMPLATE
    return made
