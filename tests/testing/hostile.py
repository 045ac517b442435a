"""Hostile and broken plugins, each a small distribution: what stands in its module, and what catches it.

`LISTED` are caught by `hft plugins` (and named by every command that loads plugins), `CHECKED` by the check of that name in
`hft plugins check`, `RUN` by `hft run`. docs/plugins.md has the same table; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD = '''"""A plugin that a test installs."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from hft_core import Augmenter, Edit, Metric, Model, hookimpl


class Component(Augmenter):
    """Upper-case every text."""

    type: Literal["NAME"]

    def edits(self, texts, spans, random):
        return [[Edit(0, len(text), text.upper())] for text in texts]


@hookimpl
def register_augmenters():
    return [Component]
'''


@dataclass(frozen=True)
class Plugin:
    """A distribution with one module."""

    source: str
    said: str
    """What the command that catches it says, or the check that fails."""
    dependencies: tuple[str, ...] = ("hft-core",)
    entry: str = ""
    """The entry point's value; default: the module."""
    extra: dict[str, str] = field(default_factory=dict)


def _edits(body: str) -> str:
    """The plugin with another body of `edits`."""
    old = "        return [[Edit(0, len(text), text.upper())] for text in texts]\n"
    assert old in HEAD
    return HEAD.replace(old, "".join(f"        {line}\n" for line in body.splitlines()))


def _field(line: str) -> str:
    return HEAD.replace('    type: Literal["NAME"]\n', f'    type: Literal["NAME"]\n    {line}\n')


LISTED: dict[str, Plugin] = {
    "raises on import": Plugin(HEAD + "raise ValueError('no\\n licence')\n", "not loaded: ValueError: no licence"),
    "leaves the program on import": Plugin(HEAD + "import sys\nsys.exit(3)\n", "not loaded: SystemExit: 3"),
    "hangs on import": Plugin(HEAD + "import time\ntime.sleep(60)\n", "not loaded: importing it takes more than 0.5 s"),
    "prints on import": Plugin(HEAD + "print('welcome!')\n", "printed while it was imported: welcome!"),
    "is slow to import": Plugin(
        HEAD + "import time\nend = time.process_time() + 1.2\nwhile time.process_time() < end: pass\n", "slow: importing it took"
    ),
    "has a misspelt hook": Plugin(
        HEAD.replace("register_augmenters", "register_augmentors"), "there is no hook register_augmentors; did you mean"
    ),
    "has a hook with an argument": Plugin(HEAD.replace("augmenters():", "augmenters(config):"), "Argument(s) {'config'}"),
    "has a hook that returns nothing": Plugin(
        HEAD.replace("return [Component]", "pass"), "register_augmenters() returned NoneType, not a list of classes"
    ),
    "has a hook of another kind": Plugin(
        HEAD.replace("register_augmenters", "register_metrics"), "which is not a subclass of Metric"
    ),
    "has a method with a wrong signature": Plugin(
        HEAD.replace("(self, texts, spans, random)", "(self, texts)"), "Component.edits(self, texts) cannot be called"
    ),
    "lacks a method": Plugin(HEAD.replace("def edits", "def edit"), "Component lacks edits"),
    "has a field without annotation": Plugin(_field("rate = 0.5"), "A non-annotated attribute was detected: `rate = 0.5`"),
    "gives type a default": Plugin(HEAD.replace('["NAME"]', '["NAME"] = "NAME"'), "`type` must not have a default"),
    "offers one type twice": Plugin(
        HEAD.replace("[Component]", "[Component, Component]"), "it offers 2 classes for the augmenter"
    ),
    "shadows a built-in type": Plugin(HEAD.replace("NAME", "synonyms"), "synonyms (offered twice: unusable)"),
    "needs a newer core": Plugin(
        HEAD, "hft-core>=99 is needed, and hft-core 0.1.0 is installed; run: pip install 'hft-core>=99'", ("hft-core>=99",)
    ),
    "lacks a dependency": Plugin(
        HEAD + "import no_such_package\n", "no-such-package>=2 is not installed; run: pip install 'no-such-package>=2'",
        ("hft-core", "no-such-package>=2"),
    ),
    "has an entry point to nothing": Plugin(
        HEAD, "its entry point names MODULE_x, which its distribution does not have", entry="MODULE_x"
    ),
}  # fmt: skip

CHECKED: dict[str, Plugin] = {
    "returns the wrong thing": Plugin(_edits("return None"), "edits_fit_their_texts"),
    "gives edits outside the text": Plugin(
        _edits("return [[Edit(0, len(text) + 1, '')] for text in texts]"), "edits_fit_their_texts"
    ),
    "changes what it is given": Plugin(
        _edits("texts[:] = [text.upper() for text in texts]\nreturn [[] for text in texts]"), "leaves_its_input_alone"
    ),
    "draws unseeded random numbers": Plugin(
        _edits("import os\nreturn [[Edit(0, 0, os.urandom(4).hex())] for text in texts]"), "is_the_same_under_a_seed"
    ),
    "depends on the batch": Plugin(
        _edits("return [[Edit(0, 0, str(len(texts)))] for text in texts]"), "is_independent_of_the_batch"
    ),
    "depends on the order of a set": Plugin(
        _edits(
            "words = ' '.join({'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta'})\n"
            "return [[Edit(0, 0, words)] for text in texts]"
        ),
        "is_the_same_in_another_process",
    ),
    "does nothing": Plugin(_edits("return [[] for text in texts]"), "changes_something"),
    "imports heavy packages": Plugin("import sklearn\n" + HEAD, "leaves_heavy_packages_out"),
    "cannot be pickled": Plugin(
        _field("_held: Any = PrivateAttr(default_factory=lambda: (lambda: 1))"), "travels_between_processes"
    ),
    "has an undocumented field": Plugin(_field("rate: float = 0.5"), "is_documented"),
    "has a field that takes anything": Plugin(_field('rate: Any = 0.5\n    """Share."""'), "fields_are_typed"),
    "imports what is not public": Plugin("from hft_core.data.keys import *\n" + HEAD, "uses_public_names"),
    "raises in a method": Plugin(_edits("raise RuntimeError('out of luck')"), "edits_fit_their_texts"),
    "takes unknown keys": Plugin(_field('model_config = {"extra": "ignore"}'), "unknown_keys_are_errors"),
}  # fmt: skip

_MODEL = '''

class Broken(Model):
    """A model that cannot be built."""

    type: Literal["NAME-model"]

    def preprocessor(self, start, texts):
        from hft_core.runtime.text import TextPreprocessor
        from tokenizers import Tokenizer, models

        vocabulary = {"[PAD]": 0, "[UNK]": 1, "a": 2}
        settings = {"max_length": 8, "pad_id": 0, "padding_side": "right", "inputs": ["input_ids"], "special": {"unk": 1}}
        return TextPreprocessor(Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")), settings)

    def build(self, start, preprocessor, heads):
        raise RuntimeError("no weights today")

    def graphs(self, net, head):
        return []


@hookimpl
def register_models():
    return [Broken]
'''

RUN: dict[str, Plugin] = {
    "raises in build": Plugin(HEAD + _MODEL, "RuntimeError: no weights today"),
    "raises while it augments": Plugin(_edits("raise RuntimeError('out of luck')"), "RuntimeError: out of luck"),
    "gives too few edits": Plugin(_edits("return [[]]"), "gave edits that do not fit"),
}

ENDS: dict[str, Plugin] = {
    "ends the process on import": Plugin(HEAD + "import os\nos._exit(3)\n", "ended with code 3"),
    "ends the process in a method": Plugin(
        _edits("import os\nos._exit(3)"), "ended the process that checks it, with code 3"
    ),
    "never returns from a method": Plugin(_edits("while True: pass"), "its time of 20 s was over during augmenter/"),
}
"""Caught by `hft plugins check` alone: it watches from outside."""
