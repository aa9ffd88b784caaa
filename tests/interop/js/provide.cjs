// Loads a store with the official JavaScript configuration provider, as a service would, and prints what it got.
//
// Reads {connection, prefix, label} from standard input. Key Vault is asked for nothing: references come back marked.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const from = createRequire(path.join(process.env.REPIN_JS_MODULES, "package.json"));
const { load } = from("@azure/app-configuration-provider");

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const { connection, prefix, label } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  const settings = await load(connection, {
    selectors: [{ keyFilter: `${prefix}*`, labelFilter: label }],
    trimKeyPrefixes: [prefix],
    keyVaultOptions: { secretResolver: (url) => `resolved ${url}` },
    featureFlagOptions: { enabled: true, selectors: [{ keyFilter: "*", labelFilter: label }] },
    clientOptions: { allowInsecureConnection: true },
  });
  process.stdout.write(JSON.stringify(Object.fromEntries(settings)));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
