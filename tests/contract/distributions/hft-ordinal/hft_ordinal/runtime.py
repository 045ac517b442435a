"""What runs at predict time, without torch: texts to arrays, and outputs to ratings."""

import numpy as np


def encode(settings, columns, preprocessor, facts):
    texts = columns[settings["text"]]
    return {**preprocessor.encode(texts), "row": np.arange(len(texts))}


def decode(settings, columns, arrays, outputs, facts):
    above = np.minimum.accumulate(1 / (1 + np.exp(-outputs["above"].astype(np.float64))), axis=1)
    edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    shares = edges[:, :-1] - edges[:, 1:]  # of each rating
    return [
        {
            "label": facts["labels"][(row > 0.5).sum()],
            "score": 1 + float(row.sum()),  # the expected rating
            "scores": dict(zip(facts["labels"], share.tolist(), strict=True)),
            "margin": float(np.abs(row - 0.5).min()),
        }
        for row, share in zip(above, shares, strict=True)
    ]
