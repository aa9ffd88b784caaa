// Loads a store with the official JavaScript configuration provider, as a service would, and prints what it got.
//
// Reads a line {connection, prefix, label} from standard input; at each further line it refreshes and prints again. Key
// Vault is asked for nothing: references come back marked.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");
const readline = require("node:readline");

const from = createRequire(path.join(process.env.REPIN_JS_MODULES, "package.json"));
const { load } = from("@azure/app-configuration-provider");

// The shortest that the provider takes.
const REFRESH = { enabled: true, refreshIntervalInMs: 1000 };

function start({ connection, prefix, label }) {
  return load(connection, {
    selectors: [{ keyFilter: `${prefix}*`, labelFilter: label }],
    trimKeyPrefixes: [prefix],
    keyVaultOptions: { secretResolver: (url) => `resolved ${url}` },
    featureFlagOptions: { enabled: true, selectors: [{ keyFilter: "*", labelFilter: label }], refresh: REFRESH },
    refreshOptions: REFRESH,
    clientOptions: { allowInsecureConnection: true },
  });
}

async function main() {
  let settings;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (settings) await settings.refresh();
    else settings = await start(JSON.parse(line));
    process.stdout.write(`${JSON.stringify(Object.fromEntries(settings))}\n`);
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
