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


def test_the_hub_takes_the_card(report):
    """Its own client reads the metadata, and finds the figures in them."""
    from huggingface_hub import ModelCard

    report["ledger"][0]["survey"] = {"languages": {"zh": 0.9, "en": 0.06, "und": 0.03, "ja": 0.01}}
    card = ModelCard(render_card(report))
    data = card.data
    assert data.language == ["en", "zh"]
    assert data.license == "unknown"
    assert data.datasets == ["some/reviews"]
    assert data.base_model == "bert-base-chinese"
    assert data.metrics == ["accuracy", "f1"]
    assert data.model_name == report["name"]
    results = {(one.dataset_split, one.metric_type): one.metric_value for one in data.eval_results}
    assert results == {
        ("test", "f1"): 0.874,
        ("test", "accuracy"): 0.889,
        ("validation", "f1"): 0.878,
        ("validation", "accuracy"): 0.894,
    }
    assert all(one.task_type == "text-classification" and one.dataset_name for one in data.eval_results)
    report["license"] = "apache-2.0"
    assert ModelCard(render_card(report)).data.license == "apache-2.0"


def test_origin_parts_and_exports(report):
    card = render_card(report)
    assert "- Seeds: 0, 1, 2" in card
    assert "- Started from: bert from runs/old, run old of 2026-05-01 10:00 (hft 0.1.0); hash" in card
    assert "- which started from: bert from bert-base-chinese; hash" in card
    assert "Licence of this model: not stated" in card
    assert f"| train | csv | `{'ab' * 16}` |" in card
    assert r"| stage adapt | +0.012 \[+0.002, +0.022\] helps | – |" in card
    assert "harms (training diverged)" in card
    assert "| fp32 | 409.2 |" in card
    assert "expected calibration error" in card
    low, high = report["scores"]["ranking"]["intervals"]["average_precision"]
    assert f"[{low:.3f}, {high:.3f}]" in card
    assert "Scores are those at the temperature 1.820, fitted on validation" in card


def test_a_report_of_an_older_version_has_a_card_too(report):
    for key in ("scores", "slices", "retained", "measured", "cost", "license", "sources", "lineage", "ablation"):
        del report[key]
    card = render_card(report)
    assert "## Scores" not in card
    assert "license: unknown" in card
