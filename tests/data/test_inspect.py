"""`hft inspect`: what it finds in small files, and in the real data sets whose faults are known."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hft_core import Roles
from hft_core.data.likeness import alike

Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def inspected(hft_here: Callable[..., Any]) -> Inspect:
    """Give ``inspected(*arguments)``: the JSON of `hft inspect`."""

    def run(*arguments: object) -> dict[str, Any]:
        outcome = hft_here("inspect", *arguments, "--json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return run


def rows(found: dict[str, Any], code: str, *words: str) -> int:
    """The number that the one check of this code has whose title holds the words; 0 where there is none."""
    checks = [
        check for check in found["checks"] if check["code"] == code and all(word in check["title"] for word in words)
    ]
    assert len(checks) < 2, checks
    return checks[0]["rows"] if checks else 0


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_split_without_the_label(tiny: Any, hft_here: Callable[..., Any]) -> None:
    write(tiny.folder / "dev.csv", "review,grade", "a text,pos")
    outcome = hft_here("inspect", tiny.write(), cwd=tiny.folder)
    assert outcome.code == 3
    assert "dev.csv has no column 'sentiment'; its columns are review, grade" in outcome.err


def test_splits_of_a_chinese_task(inspected: Inspect, tmp_path: Path) -> None:
    long = "送餐很快，味道也不错，下次还会再来的，推荐给大家，包装用心，分量也足，两个人吃刚刚好"
    train = write(
        tmp_path / "train.csv",
        "label,review",
        "1,很好吃",
        "0,很好吃",
        "1,很好吃 ",
        f"1,{long}",
        "0,太慢了<br/>",
        "0,难吃\u200b",
        "label,review",
    )
    test = write(tmp_path / "test.csv", "label,review", f"1,{long}！", "0,太慢了<br/>", "1,第一次点")
    found = inspected(train, test)
    assert [(source["name"], source["text"], source["target"]) for source in found["sources"]] == [
        ("train", ["review"], ["label"]),
        ("test", ["review"], ["label"]),
    ]
    assert rows(found, "leakage", "test", "train") == 1
    assert rows(found, "near-leakage", "test", "train") == 1
    assert rows(found, "repeats", "train") == 2
    assert rows(found, "label-conflicts", "train") == 1
    assert rows(found, "html", "train") == 1
    assert rows(found, "invisible", "train") == 1
    assert rows(found, "header-as-row", "train") == 1
    [check] = [check for check in found["checks"] if check["code"] == "header-as-row"]
    assert check["examples"] == ["line 8: review"]
    assert found["sources"][0]["survey"]["balance"] == {"1": 3, "0": 3, "label": 1}
    assert found["sources"][0]["survey"]["lengths"]["maximum"] == len(long)


def test_entities(inspected: Inspect, tmp_path: Path) -> None:
    records = [
        {"text": "李明在北京", "entities": [{"start": 0, "end": 2, "type": "人", "text": "李明"}]},
        {"text": "他在上海", "entities": [{"start": 2, "end": 4, "type": "地", "text": "北京"}]},
        {"text": "没有", "entities": [{"start": 1, "end": 9, "type": "地"}]},
    ]
    file = write(tmp_path / "names.jsonl", *(json.dumps(record) for record in records))
    found = inspected(file)
    assert rows(found, "bad-offset") == 2
    assert found["sources"][0]["survey"]["balance"] == {"地": 2, "人": 1}


def test_mixed_tag_schemes(inspected: Inspect, tmp_path: Path) -> None:
    bio = ["李 B-P", "明 I-P", "说 O", ""]
    whole = write(tmp_path / "a.txt", *bio * 3)
    assert inspected(whole)["sources"][0]["type"] == "conll"
    assert not any(check["code"] == "mixed-tag-schemes" for check in inspected(whole)["checks"])
    mixed = write(tmp_path / "b.txt", *bio * 3, "王 B-P", "五 E-P", "去 O", "京 S-L")
    [check] = [check for check in inspected(mixed)["checks"] if check["code"] == "mixed-tag-schemes"]
    assert "2 tags that end an entity" in check["detail"]
    assert "3 entities without one" in check["detail"]


def test_forms_are_found(inspected: Inspect, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("很好吃的东西\t1\n太慢了不好吃\t0\n一般般还可以\t1\n", encoding="gb18030")
    write(tmp_path / "b.jsonl", *(json.dumps({"id": n, "text": f"text number {n}", "y": n % 2}) for n in range(9)))
    write(tmp_path / "c.txt", "one line of text", "another line of text")
    found = inspected(
        tmp_path / "a.tsv", f"other={tmp_path / 'b.jsonl'}", f"plain={{type: text, path: {tmp_path / 'c.txt'}}}"
    )
    assert [(s["name"], s["type"], s["text"], s["target"], s["read"]) for s in found["sources"]] == [
        ("a_tsv", "csv", ["column1"], ["column2"], 3),
        ("other", "jsonl", ["text"], ["y"], 9),
        ("plain", "text", ["text"], [], 2),
    ]
    assert found["sources"][0]["found"] == {"encoding": "gb18030"}


def test_nothing_found_is_said(inspected: Inspect, tmp_path: Path) -> None:
    found = inspected(write(tmp_path / "a.txt", "送餐很快", "a good film"))
    assert [(check["code"], check["severity"]) for check in found["checks"]] == [("nothing-found", "ok")]


def test_a_header_in_another_encoding_is_a_header(
    inspected: Inspect, hft_here: Callable[..., Any], tmp_path: Path
) -> None:
    """All names have two characters, which are two bytes each, none of them UTF-8."""
    lines = ["编号,评论,情感", *(f"{place},味道不错第{place}次来,{'好差'[place % 2]}评" for place in range(30))]
    file = tmp_path / "评论.csv"
    file.write_bytes("\n".join(lines).encode("gb18030"))
    [source] = inspected(file)["sources"]
    assert (source["read"], source["text"], source["target"]) == (30, ["评论"], ["情感"])
    assert "encoding: gb18030" in hft_here("inspect", file).out


def test_rows_without_a_label_are_no_class(inspected: Inspect, tmp_path: Path) -> None:
    lines = [f"a text number {place},{('pos', 'neg', '', '  ')[place % 4]}" for place in range(40)]
    found = inspected(write(tmp_path / "train.csv", "review,label", *lines))
    assert rows(found, "empty-label") == 20
    assert "2.0 : 1" not in str(found["checks"])
    assert list(found["sources"][0]["survey"]["balance"]) == ["pos", "neg"]


def test_rows_of_several_labels_may_have_none(inspected: Inspect, tmp_path: Path) -> None:
    lines = [f"a text number {place},{('味道;速度', '味道', '速度', '')[place % 4]}" for place in range(40)]
    found = inspected(write(tmp_path / "train.csv", "review,labels", *lines))
    assert rows(found, "empty-label") == 0
    assert found["sources"][0]["kept"] == 40


def test_a_source_of_another_name_is_compared_as_what_is_trained_on(inspected: Inspect, tmp_path: Path) -> None:
    many = [f"something about number {place},{('pos', 'neg')[place % 2]}" for place in range(60)]
    reviews = write(tmp_path / "reviews.csv", "review,label", *many)
    test = write(tmp_path / "测试.csv", "review,label", *many[:9])
    found = inspected(test, reviews)
    assert [source["name"] for source in found["sources"]] == ["reviews_csv", "test"]
    assert rows(found, "leakage", "9 of 9 test rows stand in reviews_csv") == 9


def test_unknown_tokens(inspected: Inspect, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = inspected(
        write(tmp_path / "a.txt", "good good good", "good 好"), "--tokenizer", tmp_path / "tokenizer.json"
    )
    [check] = [check for check in found["checks"] if check["code"] == "unknown-tokens"]
    assert (check["title"], check["rows"], check["severity"]) == ("20.0% unknown pieces in a_txt", 1, "warning")


def test_doubted_labels(inspected: Inspect, tmp_path: Path) -> None:
    words = ["味道很好", "非常满意", "太难吃了", "真失望"]
    lines = [f"{words[n % 4]}，第{n}次点，{words[(n // 4) % 2 + 2 * (n % 4 > 1)]},{int(n % 4 > 1)}" for n in range(80)]
    lines[10] = lines[10][:-1] + "0"
    found = inspected(write(tmp_path / "train.csv", "text,label", *lines), "--doubts")
    [check] = [check for check in found["checks"] if check["code"] == "doubtful-labels"]
    assert check["examples"][0].startswith("line 12: 0, rather 1: 太难吃了，第10次点")


def test_a_recipe_is_read_as_its_task_does(inspected: Inspect, tiny: Any) -> None:
    with (tiny.folder / "dev.csv").open("a") as file:
        file.write((tiny.folder / "train.csv").read_text().splitlines()[1] + "\n,pos\n")
    found = inspected(tiny.write())
    assert [source["name"] for source in found["sources"]] == ["train", "validation"]
    assert rows(found, "leakage", "validation", "train") == 1
    assert rows(found, "empty-text", "validation") == 1


def test_the_page_shows_findings_and_plots(hft_here: Callable[..., Any], tmp_path: Path) -> None:
    file = write(tmp_path / "train.csv", "text,label", *(f"<b>text</b> {n},{n % 2}" for n in range(20)))
    outcome = hft_here("inspect", file)
    assert "20 rows of train with tags or entities of HTML" in outcome.out
    page = (tmp_path / "inspect.html").read_text("utf-8")
    assert page.count("<svg") == 2  # lengths and classes
    [finding] = re.findall(r"<li>(?:(?!</li>).)*entities of HTML.*?</li>", page, re.DOTALL)
    assert re.fullmatch(r"<li><span[^>]*>info</span><div>.*</div></li>", finding), (
        "two columns: examples are in the second"
    )
    assert "line 2: &lt;b&gt;text&lt;/b&gt; 0" in finding
    assert "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing.csv"], 3, "nothing.csv cannot be opened"),
        (["{type: cvs, path: a.csv}"], 2, "did you mean 'csv'"),
        (["{type: csv, pth: a.csv}"], 2, "pth"),
        (["{type: csv"], 2, "is no source"),
        (["{type: [csv], path: a.csv}"], 2, "is no source"),
        (["."], 3, "is a folder; name files in it"),
        (["a.csv", "--html", "no/such/folder.html"], 7, "choose another place with --html"),
        (["a.csv", "--text", "body"], 3, "no column 'body'"),
        (["x=a.csv", "x=a.csv"], 2, "are called 'x'"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], code: int, said: str, hft_here: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path / "a.csv", "text,label", "good,1", "bad,0")
    outcome = hft_here("inspect", *arguments)
    assert outcome.code == code
    assert said in outcome.err


# ---- real data ----


def test_citation_intent(inspected: Inspect, data_dir: Path) -> None:
    found = inspected(*(data_dir / "citation_intent" / f"{split}.txt" for split in ("train", "dev", "test")))
    [leak] = [check for check in found["checks"] if check["title"] == "Leakage: 52 of 139 test rows stand in train too"]
    assert leak["severity"] == "error"
    assert rows(found, "repeats", "train") == 418
    assert rows(found, "label-conflicts", "all splits") == 27
    assert rows(found, "label-conflicts", "of train") == 20


def test_trec(inspected: Inspect, data_dir: Path) -> None:
    found = inspected(data_dir / "trec" / "TREC.train", data_dir / "trec" / "TREC.test")
    assert rows(found, "leakage", "10 of 500 test rows") == 10


def test_sst2(inspected: Inspect, data_dir: Path) -> None:
    found = inspected(*(data_dir / "sst2" / f"{split}.tsv" for split in ("train", "dev", "test")))
    assert rows(found, "leakage") == 2
    assert rows(found, "repeats") == 9


def test_a_json_list(inspected: Inspect, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", '[{"text": "很好吃", "label": "1"},', '{"text": "太慢了", "label": "0"}]')
    [source] = inspected(file)["sources"]
    assert (source["type"], source["text"], source["target"], source["kept"]) == ("jsonl", ["text"], ["label"], 2)


def test_a_text_that_another_source_has_beside_a_title(inspected: Inspect, tmp_path: Path) -> None:
    body = "送餐很快，味道也不错，下次还会再来的，推荐给大家，包装用心"
    train = write(
        tmp_path / "train.csv", "title,text,label", f"很长的标题写在这里面了,{body},1", "另一个标题,完全不同的一句话,0"
    )
    test = write(tmp_path / "test.csv", "text,label", f"{body}！,1", "别的,0")
    assert rows(inspected(train, test, "--label", "label"), "near-leakage", "test", "train") == 1


def test_ag_news(inspected: Inspect, data_dir: Path) -> None:
    """Tokenised and lower-cased, nearly all of the 4,000 rows of `test.csv` stand in the official test.

    3,409 of them agree with one there in their first 70 letters and digits. Nearly all of these are found, but for 22 that
    are mostly HTML there, and some that differ earlier.
    """
    found = inspected(f"train={data_dir}/ag_news_test7600/test.csv", f"test={data_dir}/ag_news/test.csv")
    assert rows(found, "leakage") + rows(found, "near-leakage") == 3_914


def test_ag_news_rows_that_begin_alike_are_near_leakage(data_dir: Path) -> None:
    texts = {
        name: [record[-1] for record in csv.reader((data_dir / file).read_text("utf-8").splitlines(keepends=True))]
        for name, file in (("official", "ag_news_test7600/test.csv"), ("own", "ag_news/test.csv"))
    }
    begins = {name: [re.sub(r"[\W_]", "", text.lower())[:70] for text in found] for name, found in texts.items()}
    same = np.isin(begins["own"], begins["official"])
    near = alike({name: [{"text": found}] for name, found in texts.items()}, Roles(text=("text",)))["official", "own"]
    assert same.sum() == 3_409
    assert (same & near).sum() >= 0.99 * 3_409


def test_cmrc2018(inspected: Inspect, data_dir: Path) -> None:
    found = inspected(*(data_dir / "cmrc2018" / f"cmrc2018_{part}.json" for part in ("dev", "trial")))
    assert rows(found, "bad-answer-offset", "validation") == 176
    assert rows(found, "bad-answer-offset", "trial") == 5
    assert rows(found, "missing-question", "trial") == 2


def test_resume_ner(inspected: Inspect, data_dir: Path) -> None:
    """Two entities of its training file are cut off, so that their last tag is M."""
    found = inspected(*(data_dir / "resume_ner" / f"{split}.char.bmes" for split in ("train", "dev", "test")))
    [check] = [check for check in found["checks"] if check["code"] == "mixed-tag-schemes"]
    assert "but 2 entities without one" in check["detail"]
    assert rows(found, "leakage", "test", "in train") == 5
