// Opens a bundle of hft for text classification, and predicts with it.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "onnxruntime-node";

const FORMATS = [1, 2];
const TASK = "hft_plugins.text_classification.runtime";
const PREPROCESSOR = "hft_core.runtime.text";
const ONE_HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// What this example cannot do, it refuses: an answer to another text than the model was trained on would be wrong.
function refusal(bundle) {
  if (!FORMATS.includes(bundle.format)) return `the bundle has format ${bundle.format}, this example reads ${FORMATS}`;
  if (bundle.task.module !== TASK) return `the task ${bundle.task.type} is decoded by ${bundle.task.module}, in Python only`;
  if (bundle.preprocessor.module !== PREPROCESSOR) return `inputs are made by ${bundle.preprocessor.module}, in Python only`;
  if ("threshold" in bundle.task.facts) return "a label is given from a threshold on, which this example does not know";
  const outside = bundle.cleaners.filter((cleaner) => !cleaner.in_tokenizer).map((cleaner) => cleaner.type);
  if (outside.length) return `the cleaners ${outside.join(", ")} are not in tokenizer.json, and run in Python only`;
  return null;
}

const read = async (folder, name) => JSON.parse(await readFile(join(folder, name), "utf-8"));

// `precision`: one of bundle.precisions; default: the first.
export async function load(folder, precision) {
  const bundle = await read(folder, "bundle.json");
  const reason = refusal(bundle);
  if (reason) throw new Error(`${folder}: ${reason}`);
  const file = bundle.graphs.model.files[precision ?? bundle.precisions[0]];
  if (!file) throw new Error(`${folder} has no precision ${precision}; it has ${bundle.precisions.join(", ")}`);
  const session = await InferenceSession.create(join(folder, file), {
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  const tokenizer = new Tokenizer(await read(folder, "tokenizer.json"), await read(folder, "tokenizer_config.json"));
  return new Bundle(bundle, tokenizer, session);
}

class Bundle {
  constructor(bundle, tokenizer, session) {
    this.labels = bundle.task.facts.labels;
    this.temperature = bundle.task.facts.temperature ?? 1; // makes scores say how often they are right
    this.precisions = bundle.precisions;
    this.text = bundle.text[0];
    this.settings = bundle.preprocessor.settings;
    this.tokenizer = tokenizer;
    this.session = session;
  }

  // The token ids of a text, cut where the model ends; special tokens at both ends are kept.
  encode(text) {
    const whole = text.replace(ONE_HALF, "\ufffd");
    const { max_length: longest, special, pad_id: pad } = this.settings;
    const ids = this.tokenizer.encode(whole).ids;
    if (!ids.length) return [special.eos ?? special.unk ?? pad];
    if (ids.length <= longest) return ids;
    const own = this.tokenizer.encode(whole, { add_special_tokens: false }).ids;
    const added = ids.length - own.length;
    let before = 0;
    while (before < added && ids[before] !== own[0]) before += 1;
    return [...ids.slice(0, before), ...own.slice(0, longest - added), ...ids.slice(before + own.length)];
  }

  async predict(texts) {
    const answers = [];
    for (const text of texts) answers.push(await this.#one(text)); // one by one: none is padded
    return answers;
  }

  async #one(text) {
    const ids = this.encode(text);
    const row = (values) => new Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length]);
    const inputs = {
      input_ids: row(ids),
      attention_mask: row(ids.map(() => 1)),
      token_type_ids: row(ids.map(() => 0)),
    };
    const feeds = Object.fromEntries(this.session.inputNames.map((name) => [name, inputs[name]]));
    const { logits } = await this.session.run(feeds);
    const probabilities = softmax(Array.from(logits.data, (value) => Number(value) / this.temperature));
    const best = probabilities.indexOf(Math.max(...probabilities));
    const scores = Object.fromEntries(this.labels.map((label, index) => [label, probabilities[index]]));
    return { label: this.labels[best], score: probabilities[best], scores };
  }
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const odds = logits.map((logit) => Math.exp(logit - highest));
  const sum = odds.reduce((total, one) => total + one, 0);
  return odds.map((one) => one / sum);
}

// Answers the golden rows of the bundle, and gives the largest difference of a score; throws where one is too large.
// A label is left open where the two best scores are a tie.
export async function verify(folder, precision) {
  const bundle = await load(folder, precision);
  const wanted = precision ?? bundle.precisions[0];
  const bound = { fp32: 1e-3, fp16: 2e-2 }[wanted] ?? 0.1;
  const lines = (await readFile(join(folder, "golden.jsonl"), "utf-8")).split("\n").filter(Boolean);
  let drift = 0;
  for (const line of lines) {
    const { row, predictions } = JSON.parse(line);
    const expected = predictions[wanted];
    const [found] = await bundle.predict([row[bundle.text]]);
    const differences = bundle.labels.map((label) => Math.abs(found.scores[label] - expected.scores[label]));
    const [first, second] = Object.values(expected.scores).sort((one, two) => two - one);
    if (Math.max(...differences) > bound || (found.label !== expected.label && first - second >= bound)) {
      throw new Error(`for ${JSON.stringify(row)} it predicts ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
    }
    drift = Math.max(drift, ...differences);
  }
  return { precision: wanted, rows: lines.length, drift };
}
