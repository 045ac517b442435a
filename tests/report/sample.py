"""A report with everything in it, as realistic as a made-up one can be."""

import math

import numpy as np

RECIPE = """\
# yaml-language-server: $schema=recipe.schema.json
name: 外卖评论
seed: 0
data:
  train:      {type: csv, path: train.csv}
  validation: {type: csv, path: dev.csv}
  test:       {type: csv, path: test.csv}
  corpus:     {type: text, path: unlabelled.txt}
task:  {type: text-classification, text: review, label: topic}
model: {type: bert, source: bert-base-chinese}
prepare:
  clean:
    - {type: unicode}
    - {type: near-duplicates, threshold: 0.85}
stages:
  - stage: pretrain
    name: adapt
    objectives: [{type: masked-lm, data: [corpus, train]}]
    epochs: 5
  - stage: finetune
    objectives: [{type: task, data: train}]
    epochs: 3
evaluate: {metrics: [{type: f1, average: macro}, {type: accuracy}], seeds: 3}
export: [{type: onnx, precisions: [fp32, int8]}]
"""
LABELS = ["味道", "配送速度", "包装与卫生", "价格", "服务态度", "其他"]


def figure(value, half=0.016, **more):
    return {"value": value, "low": value - half, "high": value + half, **more}


def curves(steps, start, end, rate, with_metric):
    random = np.random.default_rng(steps)
    points = []
    for step in range(1, steps + 1, max(1, steps // 400)):
        done = step / steps
        loss = end + (start - end) * math.exp(-4 * done) + random.normal(0, 0.03 * start)
        warm = min(done / 0.1, (1 - done) / 0.9)
        points.append(
            {"step": step, "epoch": 3 * done, "losses": {"classification": float(loss)}, "lr": rate * max(warm, 0)}
        )
    for epoch in range(1, 7):
        done = epoch / 6
        validation = {"loss": end + 0.1 + (start - end) * math.exp(-4 * done)}
        if with_metric:
            validation |= {"f1": 0.87 - 0.4 * math.exp(-4 * done), "accuracy": 0.89 - 0.35 * math.exp(-4 * done)}
        points.append({"step": int(steps * done), "epoch": 3 * done, "validation": validation})
    return points


def comparisons():
    return [
        {
            "baseline": name, "split": "test", "metric": "f1", "difference": difference, "low": difference - 0.02,
            "high": difference + 0.02, "p": p, "adjusted": min(1.0, 2 * p),
        }
        for name, difference, p in (("majority", 0.8, 1e-9), ("tfidf", 0.059, 0.0004), ("plain", 0.011, 0.09))
    ]  # fmt: skip


def search():
    """A search of three fields: complete trials, one that was ended early, one that diverged."""
    trials = [
        {"number": number, "state": "complete", "figure": figure, "values": dict(zip(SPACE, values, strict=True)),
         "curve": [(1, figure - 0.1), (2, figure)], "seconds": 60.5, "cpu_seconds": 55.0, "seeds": [figure]}
        for number, (figure, values) in enumerate(
            [(0.81, (1e-4, 3, "小")), (0.88, (9e-4, 5, "大")), (0.84, (2e-4, 4, "大"))]
        )
    ]  # fmt: skip
    values = {"stages.1.optimizer.lr": 0.0099, "stages.1.epochs": 2, "model.source": "小"}
    early = {"number": 3, "state": "pruned", "figure": None, "values": values, "curve": [(1, 0.5), (2, 0.52)]}
    bad = {"number": 4, "state": "bad", "figure": None, "values": values, "curve": [], "reason": "the loss is nan <b>"}
    return {
        "format": 1, "name": "外卖评论", "study": "外卖评论", "storage": "sqlite:////work/searched.db", "metric": "f1",
        "greater_is_better": True, "space": SPACE, "trials": [*trials, early, bad], "best": 1, "written": 0.81,
        "importance": {"stages.1.optimizer.lr": 0.7, "stages.1.epochs": 0.2, "model.source": 0.1}, "limit": 5,
        "complete": True, "rows": 800, "cost": {"seconds": 190.0, "cpu_seconds": 170.0, "stages": 6, "trained": 4},
        "written_at": "2026-05-04T10:20:57+02:00",
    }  # fmt: skip


SPACE = {
    "stages.1.optimizer.lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "stages.1.epochs": {"low": 2, "high": 6},
    "model.source": {"choices": ["小", "大"]},
}


def gates():
    def gate(title, verdict, difference, settling):
        return {
            "title": title, "kept": verdict == "helps", "verdict": verdict, "metric": "f1", "without": [0.86, 0.859, 0.862],
            "with": [0.86 + difference, 0.859 + difference, 0.862 + difference], "difference": difference,
            "low": difference - 0.009, "high": difference + 0.009, "standard_error": 0.0045, "p": 0.02, "smallest": 0.0131,
            "settling": settling, "seeds": 3, "rows": 1000, "folds": False, "one_class": {"without": [], "with": [2]},
        }  # fmt: skip

    return [
        gate("stage adapt", "helps", 0.012, None),
        gate("augmenter synonyms", "harms", -0.014, None),
        gate("technique ema of tune", "unproven", 0.003, {"rows": 9200, "seeds": None}),
        {"title": "objective masked-lm of <warm>", "kept": False, "verdict": "not tried"},
    ]


def tuning():
    """Three rounds: one that stayed, one that is unproven, one that was given up after its first seed."""

    def round_(name, seen, path, before, after, gate, runs):
        change = {"path": path, "before": before, "after": after}
        return {"name": name, "where": "tune", "seen": seen, "changes": [change], "gate": gate, "runs": runs}

    helps, harms, unproven, _ = gates()
    return {
        "format": 1, "name": "外卖评论", "metric": "f1", "greater_is_better": True, "seeds": 3, "rows": 1000, "folds": False,
        "start": [0.86, 0.859, 0.862], "end": [0.872, 0.871, 0.874], "ended": "budget", "runs": 10, "seconds": 312.5,
        "rounds": [
            round_(
                "learning-rate-too-low", "In 400 steps the loss <fell> little.", "stages.0.optimizer.lr", 1e-6, 1e-5,
                helps | {"title": "lr 1e-06 → 1e-05"}, 3,
            ),
            round_(
                "more-epochs", "最好的一轮是最后一轮。", "stages.0.epochs", None, 20,
                unproven | {"title": "epochs default → 20"}, 3,
            ),
            round_(
                "smaller-batch", "f1 was best after epoch 3 of 10 (0.87).", "stages.0.batch_size", 32, 16,
                harms | {"title": "batch_size 32 → 16", "seeds": 1}, 1,
            ),
        ],
    }  # fmt: skip


def scores():
    """What the scores of a made-up model are worth, computed as for a real one."""
    from hft_core.evidence.calibration import judged_scores

    random = np.random.default_rng(1)
    logits = random.normal(size=(1000, 6)) * 2.2
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = [LABELS[random.choice(6, p=row)] for row in odds]

    def predictions(temperature):
        rows = np.exp(logits / temperature)
        rows /= rows.sum(axis=1, keepdims=True)
        return [
            {"label": LABELS[row.argmax()], "score": float(row.max()), "scores": dict(zip(LABELS, map(float, row), strict=True))}
            for row in rows
        ]  # fmt: skip

    truths = [{"label": label} for label in true]
    found = judged_scores("label", predictions(1.0), truths, {"labels": LABELS}, predictions(0.55))
    return found | {"split": "test", "temperature": 1.82}


def beside():
    """Keys that reports of older versions lack."""

    def part(title, difference, verdict):
        entry = {
            "difference": difference,
            "low": difference - 0.01,
            "high": difference + 0.01,
            "verdict": verdict,
            "p": 0.1,
        }
        return {"title": title, "alone": True, "leave_one_out": entry, "add_one_in": None}

    rows = [
        ("length", "1 to 9 characters", 251, 0.79, 0.893, True),
        ("length", "10 to 19 characters", 249, 0.88, 0.87, False),
    ]
    rows += [("language", "zh", 961, 0.872, 0.86, False), ("city", "上海", 12, 0.83, 0.871, False)]
    parts = [part("stage adapt", 0.012, "helps"), part("technique ema of tune", 0.001, "unproven")]
    parts[1]["add_one_in"] = {"verdict": "harms", "diverged": "a loss is not a number", "side": "with"}
    return {
        "scores": scores(),
        "slices": [
            {
                "by": by, "value": value, "rows": count, "figure": figure(own, 0.04), "rest": rest,
                "adjusted": None if count < 20 else 0.01 if apart else 0.8, "apart": apart,
            }
            for by, value, count, own, rest, apart in rows
        ],
        "retained": [
            {
                "task": "sentiment", "split": "test", "metric": "accuracy", "greater_is_better": True, "before": 0.87,
                "after": 0.63, "difference": -0.24, "low": -0.262, "high": -0.218, "p": 1e-9,
            }
        ],
        "measured": {"test": {"rows": 1000, "digest": "0f" * 16}},
        "cost": {"stages": 4, "seconds": 7774.0, "cpu_seconds": 7500.0},
        "license": None,
        "sources": [
            {"name": "train", "type": "csv", "hub": None, "files": ["ab" * 16], "digest": "cd" * 16},
            {"name": "test", "type": "dataset", "hub": "some/reviews", "files": [], "digest": "ef" * 16},
        ],
        "lineage": [
            {"what": "bert from runs/old", "hub": None, "digest": "12" * 16, "name": "old", "hft": "0.1.0",
             "created": "2026-05-01T10:00:00+02:00"},
            {"what": "bert from bert-base-chinese", "hub": "bert-base-chinese", "digest": "34" * 16},
        ],
        "ablation": {"metric": "f1", "seeds": 3, "parts": parts},
    }  # fmt: skip


def sample():
    random = np.random.default_rng(0)
    matrix = random.poisson(6, (6, 6)) + np.diag([212, 180, 96, 88, 140, 51])
    per_class = []
    for i, label in enumerate(LABELS):
        recall, precision = matrix[i, i] / matrix[i].sum(), matrix[i, i] / matrix[:, i].sum()
        per_class.append(
            {
                "label": label,
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(2 * precision * recall / (precision + recall)),
                "support": int(matrix[i].sum()),
            }
        )
    details = {f"f1[{entry['label']}]": figure(entry["f1"], 0.03) for entry in per_class}
    metrics = {
        "test": {"f1": figure(0.871, sd=0.004, shipped=0.874), "accuracy": figure(0.889, 0.014), **details},
        "validation": {"f1": figure(0.878, 0.018), "accuracy": figure(0.894, 0.015)},
    }
    baselines = {
        "majority": {"test": {"f1": figure(0.071, 0.004), "accuracy": figure(0.272, 0.02)}},
        "tfidf": {"test": {"f1": figure(0.812, 0.019), "accuracy": figure(0.836, 0.017)}},
        "probe": {"test": {"f1": figure(0.764, 0.021), "accuracy": figure(0.79, 0.019)}},
    }
    ledger = [
        {
            "name": "train",
            "found": {"encoding": "gb18030"},
            "read": 9987,
            "kept": 9611,
            "quarantined": {"empty text": 14, "label is empty": 3},
            "dropped": [
                {"component": "near-duplicates", "reason": "near duplicate of an earlier row", "rows": 341},
                {"component": "length", "reason": "fewer than 2 characters", "rows": 18},
            ],
            "touched": {"unicode": 12},
            "made": {"synonyms": 19222},
            "unknown_rate": 0.0013,
            "edits": [
                {
                    "component": "unicode",
                    "before": "味道ＯＫ，就是\u3000送餐  太慢了！！！",
                    "after": "味道OK，就是 送餐 太慢了！！！",
                },
                {"component": "html", "before": "<b>很好吃</b>&nbsp;下次还来<br>", "after": "很好吃 下次还来"},
            ],
        },
        *(
            {
                "name": name,
                "found": {},
                "read": rows,
                "kept": rows,
                "quarantined": {},
                "dropped": [],
                "touched": {},
                "made": {},
                "unknown_rate": rate,
                "edits": [],
            }
            for name, rows, rate in (("validation", 1000, 0.0016), ("test", 1000, 0.0015), ("corpus", 62774, None))
        ),
    ]
    checks = [
        {
            "severity": "error",
            "title": "12 test texts are in the training split",
            "detail": "Removed from training: “很好吃，下次还来”, “不错” and 10 more.",
        },
        {
            "severity": "warning",
            "title": "Label conflicts",
            "detail": "8 texts occur with two labels, such as “还可以” (味道, 其他).",
        },
        {"severity": "info", "title": "Class balance", "detail": "The largest class has 27.2 %, the smallest 6.0 %."},
        {"severity": "ok", "title": "Empty rows", "detail": "None left."},
    ]
    stages = [
        {
            "name": "adapt",
            "kind": "pretrain",
            "seconds": 4210.0,
            "steps": 4520,
            "curves": curves(4520, 3.4, 1.7, 2e-4, with_metric=False),
            "perplexity": [{"objective": "masked-lm", "before": 29.96, "after": 5.47, "step": 4480}],
            "notes": ["1 % of the stream (628 rows) is held out; the best checkpoint is by loss there: step 4,480."],
        },
        {
            "name": "finetune",
            "kind": "finetune",
            "seconds": 1188.0,
            "steps": 1803,
            "curves": curves(1803, 1.8, 0.21, 5e-5, with_metric=True),
            "notes": ["Best checkpoint by f1: epoch 2.5."],
        },
    ]
    sections = [
        {
            "title": "ONNX",
            "text": "Both graphs make the same decisions as the saved model on 1,000 validation rows.\n\n"
            "Drift is the largest difference of a score.",
            "table": [
                {
                    "precision": "fp32",
                    "size (MB)": 409.2,
                    "agreement": 1.0,
                    "drift": 0.0000031,
                    "f1": 0.878,
                    "kept": True,
                },
                {
                    "precision": "int8",
                    "size (MB)": 103.1,
                    "agreement": 0.994,
                    "drift": 0.021,
                    "f1": 0.876,
                    "kept": True,
                },
            ],
            "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 60"><rect width="210" height="22" y="4" '
            'fill="#2457a8"/><rect width="64" height="22" y="34" fill="#b8471b"/><text x="220" y="20" font-size="13">'
            '21 ms fp32</text><text x="74" y="50" font-size="13">6.4 ms int8</text></svg>',
            "data": {},
        }
    ]
    errors = [
        {"text": "送来的时候汤全洒了，袋子里都是油", "truth": "包装与卫生", "predicted": "配送速度", "score": 0.983},
        {"text": "价格涨了味道没涨", "truth": "价格", "predicted": "味道", "score": 0.971},
        {"text": "A very long review " * 40, "truth": "其他", "predicted": "服务态度", "score": 0.958},
        {"text": "<script>alert('x')</script> & co", "truth": "其他", "predicted": "味道", "score": None},
    ]
    environment = {
        "cpu": "AMD EPYC 7B13, 8 cores",
        "threads": 8,
        "precision": "fp32",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "onnxruntime": "1.32.0"},
    }
    return {
        "format": 1,
        "name": "外卖评论",
        "created": "2026-05-04T10:21:33+02:00",
        "hft": "0.1.0",
        "seeds": [0, 1, 2],
        "task": "text-classification",
        "model": "bert from bert-base-chinese",
        "base_model": "bert-base-chinese",
        "recipe": RECIPE,
        "headline": {"split": "test", "metric": "f1", "greater_is_better": True},
        "refused": [],
        "headlines": [{"split": "test", "metric": "f1"}],
        "intervals": "95 %, over rows and 3 seeds",
        "metrics": metrics,
        "baselines": baselines,
        "comparisons": comparisons(),
        "by_seed": [
            {"seed": 0, "figures": {"validation": 0.88, "test": 0.874}, "one_class": False},
            {"seed": 1, "figures": {"validation": 0.879, "test": 0.871}, "one_class": False},
            {"seed": 2, "figures": {"validation": 0.31, "test": 0.302}, "one_class": True},
        ],
        "gates": gates(),
        "search": search(),
        "tuning": tuning(),
        **beside(),
        "scored": {"when": "2026-05-04T10:20:57+02:00", "earlier": 2},
        "per_class": per_class,
        "confusion": {"labels": LABELS, "matrix": matrix.tolist()},
        "errors": errors,
        "other_tasks": [],
        "diagnosis": [
            {
                "name": "learning-rate-too-high",
                "where": "adapt",
                "evidence": "The weights went 12 times their own size from where they began.",
                "advice": "Lower the rate from 0.01 to 0.001.",
                "changes": {"stages.0.optimizer.lr": 0.001},
            },
            {
                "name": "imbalance",
                "where": "main",
                "evidence": "味道 has 980 training rows and 其他 <b>has</b> 19, 52 : 1.",
                "advice": "Collect more rows of 其他.",
                "changes": {},
            },
        ],
        "ledger": ledger,
        "checks": checks,
        "stages": stages,
        "sections": sections,
        "warnings": ["12 test texts also stood in the training split; they were removed from training."],
        "environment": environment,
        "next": [
            {"command": "hft predict runs/外卖评论/bundle --text '很好吃'", "purpose": "Try the bundle:"},
            {"command": "hft ablate recipe.yaml", "purpose": "See what each stage is worth:"},
        ],
    }
