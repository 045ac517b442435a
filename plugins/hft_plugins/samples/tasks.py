"""Samples of the tasks and their objectives: rows as each of them reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hft_core import Columns
from hft_core.testing import Case, Sample

_TINY = {
    "type": "bert",
    "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
    "max_length": 64,
}
_DECODER = {"type": "gpt", "source": {"scratch": "tiny", "tokenizer": {"type": "bpe", "size": 300}}, "max_length": 32}
_BOTH = {"type": "t5", "source": {"scratch": "tiny", "tokenizer": {"type": "unigram", "size": 200}}, "max_length": 32}

_ENTITIES: Columns = {
    "text": ["Marie Curie came to Paris.", "Ada Lovelace lived in London.", "王小明住在北京。", "Nobody was there."],
    "entities": [
        [{"start": 0, "end": 11, "type": "person"}, {"start": 20, "end": 25, "type": "place"}],
        [{"start": 0, "end": 12, "type": "person"}],
        [{"start": 0, "end": 3, "type": "person"}, {"start": 5, "end": 7, "type": "place"}],
        [],
    ],
}
_TRANSLATION: Columns = {
    "text": ["good morning to all", "thank you", "see you tomorrow", "this is a book"],
    "target": ["早上好", "谢谢", "明天见", "这是一本书"],
}
_TAGGING = Sample(columns=_ENTITIES, task={"type": "token-classification"}, model=_TINY)
_PAIRS = Sample(columns=_TRANSLATION, task={"type": "text-to-text", "new_tokens": 5}, model=_BOTH)


def _with_decoder(preprocessor: Any, texts: list[str]) -> dict[str, Any]:
    """The decoder reads the same tokens."""
    arrays: dict[str, Any] = preprocessor.pad(preprocessor.encode(texts))
    return arrays | {"decoder_input_ids": arrays["input_ids"], "decoder_attention_mask": arrays["attention_mask"]}


TEXT_CLASSIFICATION = {"text-classification": Sample(), "classification": Sample(), "supervised-contrastive": Sample()}
TOKEN_CLASSIFICATION = {"token-classification": _TAGGING, "tagging": _TAGGING}
TEXT_TO_TEXT = {
    "text-to-text": Sample(settings={"new_tokens": 5}, columns=_TRANSLATION, model=_BOTH),
    "seq2seq": _PAIRS,
}
TEXT_GENERATION = {
    "text-generation": Sample(
        settings={"new_tokens": 4, "text": "text"}, model=_DECODER, columns={"text": _TRANSLATION["text"] * 2}
    ),
}
TRANSFORMERS = {
    "masked-lm": Sample(),
    "causal-lm": Sample(model=_DECODER, columns={"text": _TRANSLATION["text"] * 8}, task={"type": "text-generation"}),
    "span-corruption": Sample(model=_BOTH, columns=_TRANSLATION, task={"type": "text-to-text"}),
    "bert": Sample(settings=_TINY, heads={"sequence-classification": 2, "token-classification": 3, "masked-lm": None}),
    "gpt": Sample(settings=_DECODER, heads={"causal-lm": None, "sequence-classification": 2}),
    "t5": Sample(settings=_BOTH, heads={"seq2seq-lm": None}, inputs=_with_decoder),
}
ONNX = {"onnx": Sample()}

_SETS: Columns = {
    "text": [
        "good food, slow waiters",
        "slow and expensive",
        "很好吃，也很便宜",
        "nothing to say",
        "good and cheap",
        "expensive",
    ],
    "labels": [["food", "service"], ["service", "price"], ["food", "price"], [], ["food", "price"], ["price"]],
}
_NUMBERS: Columns = {
    "text": ["one star at most", "quite good", "很好", "bad", "the best of all", "so so"],
    "score": [1.0, 3.5, 4.0, 2.0, 5.0, 3.0],
}
_QUESTIONS: Columns = {
    "context": [
        "Marie Curie was born in Warsaw.",
        "Ada Lovelace wrote the first program.",
        "王小明住在北京，李雷住在上海。",
    ]
    * 2,
    "question": ["Where was she born?", "Who wrote it?", "王小明住在哪里？"] * 2,
    "answers": [
        [{"text": "Warsaw", "start": 24}],
        [{"text": "Ada Lovelace", "start": 0}],
        [{"text": "北京", "start": 5}],
    ]
    * 2,
}
_ALIKE: Columns = {
    "text": ["a good film", "the phone rings", "下雨了", "fresh bread"],
    "positive": ["a fine movie", "a call comes in", "外面在下雨", "bread out of the oven"],
}
_SCORED: Columns = {
    "text": ["a good film", "the phone rings", "下雨了", "fresh bread"],
    "other": ["a fine movie", "fresh fish", "外面在下雨", "an old car"],
    "score": [4.5, 0.5, 5.0, 0.0],
}
_CHATS: Columns = {
    "messages": [
        [{"role": "user", "content": "good morning"}, {"role": "assistant", "content": "good morning to you"}],
        [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！"}],
        [{"role": "user", "content": "thank you"}, {"role": "assistant", "content": "you are welcome"}],
    ]
}
_OF_SETS = {"type": "multi-label-classification", "labels": "labels"}
_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"

MULTI_LABEL = {
    "multi-label-classification": Sample(columns=_SETS),
    "multi-label": Sample(columns=_SETS, task=_OF_SETS),
}
REGRESSION = {
    "task/regression": Sample(columns=_NUMBERS),
    "objective/regression": Sample(columns=_NUMBERS, task={"type": "regression"}),
}
QUESTION_ANSWERING = {
    "question-answering": Sample(columns=_QUESTIONS, model=_TINY),
    "answer-span": Sample(columns=_QUESTIONS, task={"type": "question-answering"}, model=_TINY),
    **{
        name: Sample(
            cases=[
                Case(
                    [{"answer": "the Warsaw"}, {"answer": "Paris"}, {"answer": None}],
                    [{"answer": ["Warsaw"]}, {"answer": ["in Paris", "Rome"]}, {"answer": [None]}],
                    expected,
                    {"rules": "squad", "no_answer": True},
                )
            ]
        )
        for name, expected in {
            "answer-exact-match": {"answer-exact-match": 2 / 3, "answer-exact-match[no answer]": 1.0},
            "answer-f1": {"answer-f1": (1 + 2 / 3 + 1) / 3},
        }.items()
    },
}
_CORPUS = dict.fromkeys(
    ("gives_statistics_per_row", "adds_up_over_batches"), "a rank is one among all rows that are measured together"
)
_RANKS = Case(
    [{"vector": [1.0, 0.0], "positive_vector": [1.0, 0.1]}, {"vector": [0.0, 1.0], "positive_vector": [1.0, 0.0]}],
    [{"anchor": "a", "match": "A", "group": None}, {"anchor": "b", "match": "B", "group": None}],
    {},
)
EMBEDDINGS = {
    "sentence-embedding": Sample(columns=_ALIKE),
    "in-batch-negatives": Sample(columns=_ALIKE, task={"type": "sentence-embedding"}),
    "sentence-similarity": Sample(settings={"range": [0, 5]}, columns=_SCORED),
    "cosent": Sample(columns=_SCORED, task={"type": "sentence-similarity", "range": [0, 5]}),
    "cosine-mse": Sample(columns=_SCORED, task={"type": "sentence-similarity", "range": [0, 5]}),
    # The first row's partner is the second nearest, by a hair; the second's is the second nearest of two.
    "mrr": Sample(cases=[replace(_RANKS, expected={"mrr": 1 / 2})], skip=_CORPUS),
    "recall-at": Sample(
        cases=[
            replace(_RANKS, expected={"recall@1": 0.0}, settings={"k": 1}),
            replace(_RANKS, expected={"recall@2": 1.0}, settings={"k": 2}),
        ],
        skip=_CORPUS,
    ),
}
TEXT_GENERATION["chat"] = Sample(
    settings={"new_tokens": 4, "template": _TEMPLATE}, model=_DECODER, columns=_CHATS, task={"type": "chat"}
)
