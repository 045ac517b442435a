// node predict.mjs BUNDLE "a text" "another"     or     node predict.mjs BUNDLE --verify

import { load, verify } from "./bundle.mjs";

const [folder, ...texts] = process.argv.slice(2);
try {
  if (!folder || !texts.length) throw new Error('usage: node predict.mjs BUNDLE "a text"…, or node predict.mjs BUNDLE --verify');
  const bundle = await load(folder);
  if (texts[0] === "--verify") {
    for (const precision of bundle.precisions) console.log(JSON.stringify(await verify(folder, precision)));
  } else {
    for (const answer of await bundle.predict(texts)) console.log(JSON.stringify(answer));
  }
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
