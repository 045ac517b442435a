from ruamel.yaml import YAML

from hft_core.report.card import render_card


def front_matter(card):
    start, matter, body = card.split("---\n", 2)
    assert start == ""
    return YAML(typ="safe").load(matter), body


def test_front_matter_is_what_the_hub_reads(report):
    matter, _ = front_matter(render_card(report))
    assert matter["pipeline_tag"] == "text-classification"
    assert matter["base_model"] == "bert-base-chinese"
    assert matter["metrics"] == ["accuracy", "f1"]
    first = matter["model-index"][0]["results"][0]
    assert first["dataset"]["split"] == "test"
    assert first["metrics"][0] == {"type": "f1", "value": 0.874}  # the shipped model's own, not the mean over seeds


def test_body_has_figures_baselines_and_limits(report):
    _, body = front_matter(render_card(report))
    assert "| **this model** | **0.871** | [0.855, 0.887] |" in body
    assert "| TF-IDF + logistic regression | 0.812 |" in body
    assert "Label conflicts" in body
    assert "Empty rows" not in body
    assert report["recipe"].strip() in body


def test_texts_cannot_change_the_markdown(report):
    report["name"] = "a: |\n---\nb"
    report["warnings"] = ["x | y <script>alert(1)</script>\n# not a title"]
    report["recipe"] = "name: x  # ```\n````"
    matter, body = front_matter(render_card(report))
    assert matter["model-index"][0]["name"] == report["name"]
    assert "<script>" not in body
    assert "\n# not a title" not in body
    assert "`````yaml\nname: x  # ```\n````\n`````" in body


def test_a_run_without_a_task(bare):
    matter, body = front_matter(render_card(bare))
    assert "model-index" not in matter
    assert "pipeline_tag" not in matter
    assert "## Figures" not in body
    assert "| adapt | pretrain | 4,520 | 1 h 10 min |" in body


def test_the_figures_of_each_task_stand_beside_its_baselines(report):
    entry = {"value": 0.5, "low": 0.4, "high": 0.6}
    report["metrics"]["test"]["subject.accuracy"] = entry
    report["baselines"]["majority"]["test"]["subject.accuracy"] = entry | {"value": 0.31}
    card = render_card(report)
    row = next(line for line in card.splitlines() if line.startswith("| test | subject.accuracy"))
    assert row.startswith("| test | subject.accuracy | 0.500 [0.400, 0.600] |")
    titles = next(line for line in card.splitlines() if line.startswith("| split | metric | this model"))
    column = [title.strip() for title in titles.split("|")].index("Majority class")
    assert [cell.strip() for cell in row.split("|")][column] == "0.310"
