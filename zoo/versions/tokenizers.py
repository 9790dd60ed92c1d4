"""Tokenizers built from their parts.

transformers 5 takes the parts. Version 4 has a second class for every tokenizer, which takes one of
the package `tokenizers`. Both give the same tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def clip_tokenizer(vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], length: int) -> Any:
    """A CLIP tokenizer of byte pairs.

    Args:
        vocab: number of each token.
        merges: pairs in the order in which they are joined.
        length: tokens of a padded caption.
    """
    kind = transformers.CLIPTokenizer
    given: dict[str, Any] = {"model_max_length": length, "pad_token": "<|endoftext|>"}
    if "vocab" in inspect.signature(kind).parameters:
        return kind(vocab=vocab, merges=merges, **given)
    made = Tokenizer(
        models.BPE(
            vocab=dict(vocab),
            merges=list(merges),
            unk_token="<|endoftext|>",
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    begin, end = ((mark, vocab[mark]) for mark in ("<|startoftext|>", "<|endoftext|>"))
    made.post_processor = processors.RobertaProcessing(end, begin, False, False)
    return transformers.CLIPTokenizerFast(tokenizer_object=made, **given)


def t5_tokenizer(pieces: Sequence[tuple[str, float]], length: int) -> Any:
    """A T5 tokenizer of unigrams.

    Args:
        pieces: each token with its logarithmic probability; padding, end and unknown are first.
        length: tokens of a padded caption.
    """
    kind, given = transformers.T5Tokenizer, {"model_max_length": length, "extra_ids": 0}
    if "vocab" in inspect.signature(kind).parameters:
        return kind(vocab=pieces, **given)
    made = Tokenizer(models.Unigram(list(pieces), unk_id=2))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    made.decoder = decoders.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.T5TokenizerFast(tokenizer_object=made, **given)
