"""Divides a file of questions in the form of SQuAD into train, validation and test, by article.

    python split.py xquad.en.json FOLDER [--no-answer 0.5] [--seed 0]

Writes FOLDER/train.json, validation.json and test.json with 60, 20 and 20 % of the articles. With --no-answer, so many
questions per question of a split are added that have no answer: one of its questions with a paragraph of another article.
Standard library only.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-answer", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    articles = json.loads(options.file.read_text("utf-8"))["data"]
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, chosen in split(articles, options.seed).items():
        chosen += without_answers(chosen, options.no_answer, options.seed)
        content = json.dumps({"version": "v2.0", "data": chosen}, ensure_ascii=False)
        (options.folder / f"{name}.json").write_text(content, encoding="utf-8")
        questions = [one for article in chosen for part in article["paragraphs"] for one in part["qas"]]
        print(f"{name}: {len(questions)} questions, {sum(not one['answers'] for one in questions)} without an answer")


def split(articles: list[Any], seed: int) -> dict[str, list[Any]]:
    """Give the articles of each split."""
    mixed = random.Random(seed).sample(articles, len(articles))
    ends = [round(len(mixed) * share) for share in (0.0, 0.6, 0.8, 1.0)]
    return {name: mixed[begin:end] for name, begin, end in zip(SHARES, ends, ends[1:], strict=False)}


def without_answers(articles: list[Any], share: float, seed: int) -> list[Any]:
    """Make so many questions per question that have no answer, each an article of its own."""
    draw = random.Random(seed)
    asked = [
        (number, one)
        for number, article in enumerate(articles)
        for part in article["paragraphs"]
        for one in part["qas"]
    ]
    made = []
    for number, question in draw.sample(asked, round(share * len(asked))):
        other = draw.choice([index for index in range(len(articles)) if index != number])
        context = draw.choice(articles[other]["paragraphs"])["context"]
        lone = {"id": f"{question['id']}-none", "question": question["question"], "answers": [], "is_impossible": True}
        made.append({"title": articles[other].get("title"), "paragraphs": [{"context": context, "qas": [lone]}]})
    return made


if __name__ == "__main__":
    main()
