"""Chat: messages by the model's own template, the same in training and in the bundle, English and Chinese."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import hft_core
from hft_core import DataError, PluginError, RowRandom, Stream
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.text_generation import chat_runtime
from hft_plugins.text_generation.chat import Chat
from hft_plugins.transformers import tokenizer as tokenizers
from hft_plugins.transformers.causal_lm import CausalLM

CHATML = (
    "{%- for message in messages %}\n{{- '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>\\n' }}"
    "{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
BRACKETS = """{{ bos_token }}{% for m in messages %}
    {% if m.role not in ["user", "assistant", "system"] %}{{ raise_exception("no such role") }}{% endif %}
    {% if loop.index > 9 %}{% break %}{% endif %}
[{{ m.role | upper }}] {{ m.content | tojson }}{% if m.role == "assistant" %}{{ eos_token }}{% endif %}

{% endfor %}{% if add_generation_prompt %}[ASSISTANT] {% endif %}"""
TOOLS = """{% if tools is not none %}[TOOLS]{% endif %}{{ documents }}{% for m in messages %}
{{ m | tojson(indent=1, sort_keys=true) }}
{% if m.role == "assistant" %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}
{% endfor %}"""
TALKS = [
    [{"role": "user", "content": "the cat sat where?"}],
    [{"role": "system", "content": "你是助手。"}, {"role": "user", "content": " 猫坐在\n哪里？ "}],
    [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b <x> \"c\""},
        {"role": "user", "content": "今天的菜很好吃 {{ not_code }}"},
    ],
]  # fmt: skip
SPECIAL = {"pad_token": "<|pad|>", "bos_token": "<s>", "eos_token": "<|endoftext|>"}


@pytest.mark.parametrize("template", [CHATML, BRACKETS, TOOLS])
@pytest.mark.parametrize("messages", TALKS)
def test_messages_are_rendered_as_transformers_renders_them(template: str, messages: Any) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    library = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL)
    for answering in (True, False):
        wanted = library.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=answering
        )
        assert chat_runtime.rendered(template, messages, SPECIAL, answering) == wanted


def test_a_template_may_refuse_and_may_not_reach_out() -> None:
    with pytest.raises(DataError, match="does not take messages of tool: no such role"):
        chat_runtime.rendered(BRACKETS, [{"role": "tool", "content": "x"}], SPECIAL)
    with pytest.raises(DataError, match="unsafe"):
        chat_runtime.rendered("{{ messages.__class__.__mro__ }}", TALKS[0], SPECIAL)
    with pytest.raises(DataError, match="does not take messages of user: "):
        chat_runtime.rendered("{{ messages[0].content + 1 }}", TALKS[0], SPECIAL)
    with pytest.raises(PluginError, match="not valid Jinja"):
        chat_runtime.rendered("{% for %}", TALKS[0], SPECIAL)


def test_a_template_that_asks_for_the_day_reads_the_same_on_any() -> None:
    assert chat_runtime.rendered("{{ strftime_now('%d %b %Y') }}", TALKS[0], SPECIAL) == "26 Jul 2024"


@pytest.fixture
def chatty(preprocessor: TextPreprocessor) -> TextPreprocessor:
    """The tokenizer with a template, whose answers end with a token of their own."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_str(preprocessor.tokenizer.to_str())
    own.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return TextPreprocessor(own, preprocessor.settings() | {"chat_template": CHATML})


def rows(*talks: Any) -> dict[str, list[Any]]:
    return {"messages": list(talks)}


ANSWERED = [[*talk, {"role": "assistant", "content": "on the mat 垫子上"}] for talk in TALKS]


def test_only_the_answer_is_learned_and_its_end_is_the_templates(chatty: TextPreprocessor) -> None:
    task = Chat(type="chat", new_tokens=30).bind(rows(*ANSWERED))
    columns = task.arrange(rows(*ANSWERED))
    assert task.refusals(columns) == [None] * 3
    stream = Stream(chatty, task.roles(), task)
    objective = CausalLM(type="causal-lm", data="train", task="main")
    arrays = objective.encode(columns, stream)
    batch = objective.batch(arrays, RowRandom(0, arrays["row"]), stream)
    end = chatty.tokenizer.token_to_id("<|im_end|>")
    assert batch["targets"].tolist() == [*chatty.bare(["on the mat 垫子上"])[0], end] * 3
    whole = chatty.tokenizer.decode(arrays["input_ids"].values.tolist(), skip_special_tokens=False)
    assert whole == "".join(
        chat_runtime.rendered(CHATML, talk, {}, True) + "on the mat 垫子上<|im_end|>" for talk in TALKS
    )


def test_training_and_prediction_read_the_same(chatty: TextPreprocessor) -> None:
    task = Chat(type="chat", new_tokens=30, system="Be short.").bind(rows(*ANSWERED))
    trained = task.encode(task.arrange(rows(*ANSWERED)), chatty, {})
    asked = chat_runtime.encode(task.settings(), rows(*map(json.dumps, TALKS)), chatty, {})
    for row in range(3):
        assert trained["input_ids"][row].tolist() == asked["input_ids"][row].tolist()
    assert "answer" not in asked
    assert trained["end"].tolist() == asked["end"].tolist() == [chatty.tokenizer.token_to_id("<|im_end|>")] * 3
    first = chatty.tokenizer.decode(asked["input_ids"][0].tolist(), skip_special_tokens=False)
    assert first.startswith("<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nthe cat")
    second = chatty.tokenizer.decode(asked["input_ids"][1].tolist(), skip_special_tokens=False)
    assert second.count("<|im_start|>system") == 1  # its own


def test_text_and_answer_are_two_messages(chatty: TextPreprocessor) -> None:
    task = Chat(type="chat", text="问题", answer="回答").bind({"问题": ["猫？"], "回答": ["狗"]})
    assert task.arrange({"问题": ["猫？"], "回答": ["狗"]}) == {"问题": ["猫？"], "回答": ["狗"]}
    arrays = task.encode({"问题": ["猫？"], "回答": ["狗"]}, chatty, {})
    text = chatty.tokenizer.decode(arrays["input_ids"][0].tolist(), skip_special_tokens=False)
    assert text == "<|im_start|>user\n猫？<|im_end|>\n<|im_start|>assistant\n"


def test_a_tokenizer_without_a_template_is_told(preprocessor: TextPreprocessor) -> None:
    task = Chat(type="chat").bind(rows(*ANSWERED))
    with pytest.raises(PluginError, match="has no chat template; set `template:`"):
        task.encode(task.arrange(rows(*ANSWERED)), preprocessor, {})
    own = Chat(type="chat", template=CHATML).bind(rows(*ANSWERED))
    arrays = own.encode(own.arrange(rows(*ANSWERED)), preprocessor, {})
    assert arrays["end"][0] == preprocessor.special["eos"]  # the template's end is no token here


def test_what_is_no_conversation_is_refused() -> None:
    task = Chat(type="chat").bind(rows(*ANSWERED))
    broken = [
        "[{", 7, None, [], [{"role": "user"}], [{"role": "user", "content": 1}], TALKS[0],
        [*TALKS[0], {"role": "assistant", "content": " "}], json.dumps(ANSWERED[0]), ANSWERED[0][-1:],
    ]  # fmt: skip
    reasons = task.refusals(task.arrange(rows(*broken)))
    assert [reason and reason.partition(":")[0] for reason in reasons] == [
        *["no-messages"] * 6, "no-answer", "empty-answer", None, "no-answer",
    ]  # fmt: skip
    asks = {"messages": "messages", "text": None}
    assert chat_runtime.refusal(asks, {"messages": json.dumps(TALKS[0])}) is None
    assert chat_runtime.refusal(asks, {"messages": json.dumps(ANSWERED[0])}) is None  # its answer is not read
    assert "nothing to answer" in str(chat_runtime.refusal(asks, {"messages": json.dumps(ANSWERED[0][-1:])}))
    for text in ("hello", "[" * 100_000):
        assert "not JSON" in str(chat_runtime.refusal(asks, {"messages": text}))


@pytest.mark.parametrize(
    ("task", "sample", "message"),
    [
        ({"messages": "m"}, {"a": []}, r"no column 'm' for messages.*Set `messages:`"),
        ({}, {"a": []}, r"no column 'text' for text.*Set `text:`"),
        ({"text": "a"}, {"a": []}, r"no column 'answer' for answer"),
        ({"text": "a", "answer": "a"}, {"a": []}, "the same column"),
    ],
)
def test_missing_columns(task: dict[str, Any], sample: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Chat(type="chat", **task).bind(sample)


def test_messages_and_text_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="two forms of what is asked"):
        Chat(type="chat", text="a", messages="b")


PAIRS = [("the cat?", "on the mat"), ("the dog?", "at the door"), ("猫呢？", "在垫子上"), ("菜呢？", "很好吃")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny decoder whose folder brings a template, tuned on four questions; some rows are broken."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("chat")
    texts = [text for pair in PAIRS for text in pair]
    trained = tokenizers.train("bpe", 400, texts, "gpt")
    trained.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made = tokenizers.for_scratch(trained, "gpt", 64)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=made.vocabulary, n_embd=64, n_layer=2, n_head=2, n_positions=64, pad_token_id=made.pad_id,
        bos_token_id=made.special["eos"], eos_token_id=made.special["eos"],
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder / "start")
    made.save(folder / "start")
    (folder / "start" / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    talks = [[{"role": "user", "content": one}, {"role": "assistant", "content": two}] for one, two in PAIRS]
    lines = [{"messages": talk, "id": n} for n, talk in enumerate(talks * 20)]
    (folder / "dev.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines[:8]), "utf-8")
    lines += [{"messages": talks[0][:1]}, {"messages": "oops"}]
    (folder / "train.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    recipe = {
        "name": "chat",
        "data": {
            "train": {"type": "jsonl", "path": "train.jsonl"}, "validation": {"type": "jsonl", "path": "dev.jsonl"},
        },
        "task": {"type": "chat", "new_tokens": 12},
        "model": {"type": "gpt", "source": "./start"},
        "prepare": {"leakage": "report"},
        "stages": [{
            "stage": "finetune", "objectives": [{"type": "task", "data": "train"}], "epochs": 20, "batch_size": 2,
            "optimizer": {"type": "adamw", "lr": 3e-3},
        }],
        "evaluate": {"metrics": [{"type": "perplexity"}, {"type": "exact-match"}]},
        "export": [{"type": "onnx"}],
        "precision": "fp32",
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(recipe, ensure_ascii=False), encoding="utf-8")
    return hft_core.run(folder / "recipe.yaml")


@pytest.mark.slow
def test_it_learns_to_answer(run: Any, proven: Any) -> None:
    assert run.metrics["validation"]["exact-match"] == 1.0
    assert run.metrics["validation"]["perplexity"] < 1.2
    proven(run.bundle)
    asked = [{"messages": json.dumps([{"role": "user", "content": one}])} for one, _ in PAIRS]
    assert [answer["text"] for answer in run.predict(asked)] == [two for _, two in PAIRS]
    lists = [
        {"messages": [{"role": "user", "content": one}, {"role": "assistant", "content": "?"}]} for one, _ in PAIRS
    ]
    assert [answer["text"] for answer in run.predict(lists)] == [two for _, two in PAIRS]


@pytest.mark.slow
def test_the_bundle_says_what_it_needs(run: Any) -> None:
    described = json.loads((run.bundle / "bundle.json").read_text("utf-8"))
    assert list(described["requires"]) == ["Jinja2"]
    assert described["preprocessor"]["settings"]["chat_template"] == CHATML
    assert described["task"]["settings"]["new_tokens"] == 12


@pytest.mark.slow
def test_the_report_shows_before_and_after_and_the_quarantine(run: Any) -> None:
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    ledger = next(split for split in report["ledger"] if split["name"] == "train")
    assert ledger["quarantined"] == {"no-answer": 1, "no-messages": 1}
    before = report["baselines"]["before"]["validation"]["perplexity"]["value"]
    after = report["metrics"]["validation"]["perplexity"]["value"]
    assert after < 1.2 < 100 < before  # of over 260 tokens


@pytest.mark.slow
def test_transformers_writes_the_same_from_the_run_folder(run: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words, net = AutoTokenizer.from_pretrained(run.model), AutoModelForCausalLM.from_pretrained(run.model).eval()
    end = words.convert_tokens_to_ids("<|im_end|>")
    for one, two in PAIRS:
        batch = words.apply_chat_template(
            [{"role": "user", "content": one}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            made = net.generate(**batch, do_sample=False, max_new_tokens=12, eos_token_id=end)
        written = words.decode(made[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        assert written == two


@pytest.mark.slow
def test_it_is_predicted_without_torch(run: Any, hft: Any, tmp_path: Path) -> None:
    for name in ("torch", "transformers"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('blocked')", encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"messages": json.dumps([{"role": "user", "content": "猫呢？"}])}) + "\n", "utf-8")
    answered = hft("predict", run.bundle, "--file", rows, PYTHONPATH=str(tmp_path))
    assert answered.code == 0, answered.err
    assert json.loads(answered.out)["text"] == "在垫子上"


@pytest.mark.parametrize("template", ["{% for message in messages %}{{ message.content }}", "{{ 消息 | }}"])
def test_a_template_that_is_none_is_refused_before_training(template: str) -> None:
    with pytest.raises(ValidationError, match="not valid Jinja"):
        Chat(type="chat", template=template)
