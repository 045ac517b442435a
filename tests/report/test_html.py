import base64
import json
import re
from html.parser import HTMLParser

import pytest

from hft_core.report.content.report import Report
from hft_core.report.html import render

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements are balanced and collects what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.tags, self.attributes, self.texts = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice"
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_page_is_well_formed_and_has_every_section(report):
    page = Page(render(report))
    sections = [
        "summary",
        "diagnosis",
        "results",
        "evidence",
        "errors",
        "data",
        "training",
        "search",
        "tuning",
        "exports",
        "reproduce",
        "next",
    ]
    assert page.ids == sections
    assert [link for link in page.links if link.startswith("#")] == [f"#{name}" for name in sections]
    assert page.tags.count("svg") == 13  # bars, heat map, scores, curves; of the search curves and coordinates


def test_a_page_needs_nothing_from_outside(report):
    page = Page(render(report))
    assert all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in page.links)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    text = render(report)
    assert "@import" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_every_text_is_escaped_wherever_it_stands(report):
    attack = "\"'><script>alert(1)</script><b>&amp;"

    def poisoned(value, key=""):
        if isinstance(value, dict):
            return {name: poisoned(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [poisoned(inner, key) for inner in value]
        keep = key in ("severity", "svg", "split", "metric")
        return attack if isinstance(value, str) and not keep else value

    page = Page(render(poisoned(report)))
    assert "script" not in page.tags
    assert "b" in page.tags  # the titles of checks, of the diagnosis and of rounds are bold, and only they
    assert page.tags.count("b") == len(report["checks"]) + len(report["diagnosis"]) + len(report["tuning"]["rounds"])
    assert "".join(page.texts).count("<script>alert(1)</script>") > 30


def test_names_of_labels_metrics_and_columns_are_escaped_too(report):
    attack = "<script>x</script>"
    report["confusion"]["labels"][0] = attack
    report["metrics"]["test"][attack] = report["metrics"]["test"]["f1"]
    report["baselines"][attack] = report["baselines"]["tfidf"]
    report["ledger"][0]["quarantined"] = {attack: 1}
    report["sections"][0]["table"] = [{attack: attack}]
    report["environment"][attack] = attack
    report["stages"][1]["curves"][-1]["validation"][attack] = 0.5
    page = Page(render(report))
    assert "script" not in page.tags


def test_the_model_stands_beside_the_baselines(report):
    text = "".join(Page(render(report)).texts)
    for word in ("This model", "Majority class", "TF-IDF + logistic regression", "Frozen model + linear probe"):
        assert word in text
    assert "0.871 [0.855, 0.887]" in text
    assert "Better than the best baseline (TF-IDF + logistic regression, 0.812) by 0.059" in text
    assert "do not overlap" in text


@pytest.mark.parametrize(
    ("model", "greater", "words"),
    [
        (0.82, True, "intervals overlap"),
        (0.80, True, "Not better than the best baseline"),
        (0.90, False, "Not better than the best baseline (Majority class"),
        (0.01, False, "Better than the best baseline (Majority class"),
    ],
)
def test_the_verdict_says_how_the_model_stands(report, model, greater, words):
    report["headline"]["greater_is_better"] = greater
    report["metrics"]["test"]["f1"] = {"value": model, "low": model - 0.015, "high": model + 0.015}
    assert words in "".join(Page(render(report)).texts)


def test_an_exporters_image_cannot_break_the_page(report):
    report["sections"][0]["svg"] = "<svg><script>alert(1)</script></div></section>"
    page = Page(render(report))
    assert "script" not in page.tags
    image = next(link for link in page.links if link.startswith("data:"))
    assert base64.b64decode(image.split(",")[1]).decode() == report["sections"][0]["svg"]


def test_a_run_without_a_task_has_fewer_sections(bare):
    page = Page(render(bare))
    assert page.ids == ["summary", "training", "reproduce"]
    assert "not evaluated" in "".join(page.texts)


def test_the_sample_has_the_documented_shape_and_survives_json(report):
    assert set(report) == Report.__required_keys__
    assert render(json.loads(json.dumps(report))) == render(report)


def test_tables_scroll_in_their_own_container(report):
    text = render(report)
    assert text.count("<table>") == len(re.findall(r'<div class="scroll" tabindex="0"><table>', text))


def test_what_went_wrong_stands_with_the_change_that_it_suggests(report):
    text = render(report)
    assert "Learning rate too high" in text
    assert "<code>stages.0.optimizer.lr: 0.001</code>" in text
    report["diagnosis"] = []
    assert 'id="diagnosis"' not in render(report)


def test_a_task_that_does_not_decide_has_its_classes_and_errors_too(report):
    other = {
        "task": "subject", "split": "validation", "confusion": {"labels": ["film", "phone"], "matrix": [[3, 1], [0, 2]]},
        "per_class": [{"label": "film", "precision": 1.0, "recall": 0.75, "f1": 0.857, "support": 4}],
        "errors": [{"text": "a <b>screen</b>", "truth": "film", "predicted": "phone", "score": 0.9}],
    }  # fmt: skip
    page = render(report | {"other_tasks": [other]})
    assert "Classes of subject on validation" in page
    assert "Confusions of subject on validation" in page
    assert "subject on validation" in page
    assert "a &lt;b&gt;screen&lt;/b&gt;" in page


def test_a_search_says_what_it_was_worth(report):
    text = "".join(Page(render(report)).texts)
    assert (
        "Trial 1 is the best of 5: f1 0.880 on validation. The recipe as written, trial 0, had 0.810 (+0.070)." in text
    )
    assert "best of 3 complete ones on the same validation of 800 rows" in text
    assert "3 trials complete, 1 ended early, 1 came to no figure" in text
    assert "ended after epoch 2" in text
    assert "bad: the loss is nan <b>" in text


def test_tuning_says_what_was_seen_and_what_it_gave(report):
    text = "".join(Page(render(report)).texts)
    for shown in (
        "1 of 3 changes stayed; f1 on validation 0.860 → 0.872. The budget ended it;",
        "lr 1e-06 → 1e-05",
        "Learning rate too low (tune): In 400 steps the loss <fell> little.",
        "最好的一轮是最后一轮。",
        "epochs default → 20: this gate could have seen",
        "Given up after the seed that was worst before.",
        "of 40 useless ones one stays by luck",
    ):
        assert shown in text, shown


@pytest.mark.parametrize("ended", ["", "nothing left"])
def test_tuning_that_has_hardly_begun(report, ended):
    report["tuning"] |= {"rounds": [], "start": None, "end": None, "ended": ended}
    text = "".join(Page(render(report)).texts)
    assert "0 of 0 changes stayed; f1 on validation – → –." in text
    assert "What was seen" not in text


@pytest.mark.parametrize("trials", [0, 1])
def test_a_search_that_has_hardly_begun(report, trials):
    report["search"] |= {"best": 0 if trials else None, "written": None, "importance": {}}
    report["search"]["trials"] = report["search"]["trials"][:trials]
    page = Page(render(report))
    assert "search" in page.ids
    assert "meter" not in page.tags


def test_scores_slices_and_what_was_forgotten_are_shown(report):
    page = render(report)
    for shown in (
        "Calibration on test", "Reliability:", "ROC curves", "average precision", "without the temperature",
        "Slices on test", "1 to 9 characters", "differs", "Before and after", "−0.240",
        "Perplexity of masked-lm on held-out text: 29.96 before the stage, 5.470 after step 4,480.",
        "What each part is worth",
    ):  # fmt: skip
        assert shown in page, shown
    low, high = report["scores"]["ranking"]["intervals"]["roc_auc"]
    assert f"[{low:.3f}, {high:.3f}]" in page


def test_no_holder_of_texts_is_left_where_none_may_be(report):
    from hft_core.report.texts import without_texts

    report["checks"][0]["examples"] = ["line 3: 秘密一"]
    report["sections"][0]["passages"] = [{"text": "秘密二", "marks": [], "title": ""}]
    silent = without_texts(report)
    page = render(silent)
    for text in ("秘密一", "秘密二", "送来的时候汤全洒了", "就是"):
        assert text in render(report)
        assert text not in page
    assert silent["metrics"] == report["metrics"]
