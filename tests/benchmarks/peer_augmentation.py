"""The peer of `augmentation`: nlpaug's SynonymAug over WordNet, called with a list, in an environment of its own.

    python peer_augmentation.py TEXTS WORDNET LIMIT

Prints JSON: texts, cpu_s, words, changed_words, changed_texts. WORDNET is a folder with the files of WordNet 3.0. The
weights of nltk's tagger are on no package index: where they are missing, the same tagger is trained here on the texts,
tagged by WordNet; it has 5 tags in place of 45, so nlpaug is measured rather faster than it is.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
)
_LEXNAMES += "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object "
_LEXNAMES += (
    "noun.person noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape "
)
_LEXNAMES += (
    "noun.state noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
)
_LEXNAMES += "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession "
_LEXNAMES += "verb.social verb.stative verb.weather adj.ppl"


def main(texts_file: str, wordnet: str, limit: int) -> None:
    """Augment and print the figures."""
    texts = Path(texts_file).read_text("utf-8").splitlines()[:limit]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpora" / "wordnet"
        corpus.mkdir(parents=True)
        for file in Path(wordnet).iterdir():
            if file.is_file():
                shutil.copy(file, corpus)
        lines = [f"{at:02}\t{name}\t{kind(name)}\n" for at, name in enumerate(_LEXNAMES.split())]
        (corpus / "lexnames").write_text("".join(lines))
        (corpus / "index.sense").touch()  # nltk opens it, and reads it for sense keys only
        import nltk

        nltk.data.path.insert(0, folder)
        import nlpaug.augmenter.word as naw
        from nlpaug.model.word_dict import WordNet

        try:
            nltk.pos_tag(["a"])
        except LookupError:
            tagger = trained(texts[:1000])
            WordNet.pos_tag = classmethod(lambda cls, tokens: tagger.tag(tokens))
        random.seed(0)
        # Of the words of SST-2 that is a fourth; hft at a rate of 0.3 changes a sixth, for labels' words stay.
        augmenter = naw.SynonymAug(aug_src="wordnet", aug_p=0.2)
        augmenter.augment(texts[:20])
        begin = time.process_time()
        made = augmenter.augment(texts)
        cpu = time.process_time() - begin
    changed = sum(one != other for one, other in zip(texts, made, strict=True))
    pairs = [(one.split(), other.split()) for one, other in zip(texts, made, strict=True)]
    kept = sum(len(one) - len(set(one) - set(other)) for one, other in pairs)
    words = sum(len(one) for one, _ in pairs)
    print(json.dumps({"texts": len(texts), "cpu_s": cpu, "words": words, "kept": kept, "changed_texts": changed}))


def trained(texts: list[str]) -> Any:
    """nltk's tagger, which has learned to tell what WordNet knows of a word."""
    from nltk.corpus import wordnet
    from nltk.tag.perceptron import PerceptronTagger

    tags = {"n": "NN", "v": "VB", "a": "JJ", "s": "JJ", "r": "RB"}

    def tag(word: str) -> str:
        found = wordnet.synsets(word)
        return tags[found[0].pos()] if found else "DT"

    tagger = PerceptronTagger(load=False)
    tagger.train([[(word, tag(word)) for word in text.split()] for text in texts], nr_iter=3)
    return tagger


def kind(name: str) -> int:
    """Number of a lexicographer file's part of speech."""
    return {"noun": 1, "verb": 2, "adj": 3, "adv": 4}[name.split(".")[0]]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
