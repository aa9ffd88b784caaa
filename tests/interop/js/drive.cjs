// Makes the scripted App Configuration calls with the official JavaScript client.
//
// Reads {connection, calls} from standard input, writes the answers by call to standard output, in the neutral words of
// azure_calls.py. The client is found in REPIN_JS_MODULES.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const load = createRequire(path.join(process.env.REPIN_JS_MODULES, "package.json"));
const {
  AppConfigurationClient,
  featureFlagContentType,
  featureFlagPrefix,
  parseFeatureFlag,
  parseSecretReference,
  secretReferenceContentType,
} = load("@azure/app-configuration");

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const when = (text) => (text ? new Date(text) : undefined);
const orNull = (value) => (value === undefined ? null : value);

function neutral(setting) {
  return {
    key: setting.key,
    label: orNull(setting.label),
    value: orNull(setting.value),
    content_type: orNull(setting.contentType),
    tags: setting.tags ?? {},
    read_only: setting.isReadOnly,
    etag: orNull(setting.etag),
    description: orNull(setting.description),
  };
}

function neutralSnapshot(snapshot) {
  return {
    name: snapshot.name,
    status: snapshot.status,
    composition_type: snapshot.compositionType,
    items_count: snapshot.itemCount,
    retention_period: snapshot.retentionPeriodInSeconds,
    tags: snapshot.tags ?? {},
    description: orNull(snapshot.description),
    etag: snapshot.etag,
    filters: snapshot.filters.map((rule) => ({ key: rule.keyFilter, label: orNull(rule.labelFilter) })),
    expires: snapshot.expiresOn !== undefined && snapshot.expiresOn !== null,
  };
}

function setting({ key, label, value, content_type, tags, description, only_if }) {
  return { key, label: label ?? undefined, value, contentType: content_type, tags, description, etag: only_if };
}

function filters({ key_filter, label_filter, tags_filter, fields, at }) {
  const words = { read_only: "isReadOnly", content_type: "contentType", last_modified: "lastModified" };
  return {
    keyFilter: key_filter,
    labelFilter: label_filter,
    tagsFilter: tags_filter,
    fields: fields?.map((field) => words[field] ?? field),
    acceptDateTime: when(at),
  };
}

async function collect(items, turn) {
  const found = [];
  for await (const item of items) found.push(turn(item));
  return found;
}

const named = (item) => ({ key: item.name });

function operations(client) {
  const lock = (readOnly) => async (wanted) =>
    neutral(await client.setReadOnly(setting(wanted), readOnly, { onlyIfUnchanged: Boolean(wanted.only_if) }));
  return {
    lock: lock(true),
    unlock: lock(false),
    set: async (wanted) =>
      neutral(await client.setConfigurationSetting(setting(wanted), { onlyIfUnchanged: Boolean(wanted.only_if) })),
    add: async (wanted) => neutral(await client.addConfigurationSetting(setting(wanted))),
    get: async ({ key, label, unless, at }) => {
      const id = { key, label: label ?? undefined, etag: unless };
      const options = { onlyIfChanged: Boolean(unless), acceptDateTime: when(at) };
      const found = await client.getConfigurationSetting(id, options);
      return found.statusCode === 304 ? { same: true } : neutral(found);
    },
    delete: async (wanted) => {
      const options = { onlyIfUnchanged: Boolean(wanted.only_if) };
      const deleted = await client.deleteConfigurationSetting(setting(wanted), options);
      return deleted.statusCode === 204 ? { nothing: true } : { deleted: true };
    },
    list: (wanted) => collect(client.listConfigurationSettings(filters(wanted)), neutral),
    revisions: (wanted) => collect(client.listRevisions(filters(wanted)), neutral),
    labels: ({ name_filter, at }) =>
      collect(client.listLabels({ nameFilter: name_filter, acceptDateTime: when(at) }), named),
    fill: async ({ prefix, count }) => {
      for (let n = 0; n < count; n += 1) {
        await client.setConfigurationSetting({ key: prefix + String(n).padStart(3, "0"), value: String(n) });
      }
      return { count };
    },
    pages: async ({ key_filter, etags }) => {
      const pages = client.listConfigurationSettings({ keyFilter: key_filter, pageEtags: etags }).byPage();
      const seen = await collect(pages, (page) => page);
      if (etags) {
        // A page that did not change comes without items.
        return { changed: seen.flatMap((page) => page.items.slice(0, 1)).map((item) => item.key) };
      }
      return { sizes: seen.map((page) => page.items.length), etags: seen.map((page) => page.etag) };
    },
    check: async ({ key_filter }) => {
      const pages = client.checkConfigurationSettings({ keyFilter: key_filter }).byPage();
      const etags = await collect(pages, (page) => page.etag);
      return { pages: etags.length, etags, tagged: etags.every(Boolean) };
    },
    moment: async () => {
      // Stores keep whole seconds.
      await pause(1100);
      const moment = new Date().toISOString();
      await pause(1100);
      return { moment };
    },
    snapshot: async ({ name, filters: rules, retention, composition, tags, description }) => {
      const wanted = {
        name,
        filters: rules.map((rule) => ({
          keyFilter: rule.key,
          labelFilter: rule.label ?? undefined,
          tagsFilter: rule.tags,
        })),
        retentionPeriodInSeconds: retention,
        compositionType: composition,
        tags,
        description,
      };
      return neutralSnapshot(await client.beginCreateSnapshotAndWait(wanted, { updateIntervalInMs: 200 }));
    },
    get_snapshot: async ({ name }) => neutralSnapshot(await client.getSnapshot(name)),
    archive: async ({ name, only_if }) => neutralSnapshot(await client.archiveSnapshot(name, { etag: only_if })),
    recover: async ({ name }) => neutralSnapshot(await client.recoverSnapshot(name)),
    list_snapshot: ({ name, fields }) =>
      collect(client.listConfigurationSettingsForSnapshot(name, { fields }), neutral),
    list_snapshots: ({ name_filter, status }) =>
      collect(client.listSnapshots({ nameFilter: name_filter, statusFilter: status }), named),
    set_flag: async ({ name, enabled, filters: rules }) => {
      const value = { id: name, enabled, conditions: { clientFilters: rules } };
      const flag = { key: featureFlagPrefix + name, contentType: featureFlagContentType, value };
      return neutral(await client.setConfigurationSetting(flag));
    },
    get_flag: async ({ name }) => {
      const flag = parseFeatureFlag(await client.getConfigurationSetting({ key: featureFlagPrefix + name }));
      return {
        enabled: flag.value.enabled,
        filters: flag.value.conditions.clientFilters.map((rule) => rule.name),
      };
    },
    set_reference: async ({ key, uri }) => {
      const reference = { key, contentType: secretReferenceContentType, value: { secretId: uri } };
      return neutral(await client.setConfigurationSetting(reference));
    },
    get_reference: async ({ key }) => {
      const reference = parseSecretReference(await client.getConfigurationSetting({ key }));
      return { uri: reference.value.secretId };
    },
  };
}

// The last part of a problem's type; null where the answer had no body.
function problem(error) {
  return error.details?.type?.split("/").pop() ?? null;
}

async function drive({ connection, calls }) {
  const options = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
  const does = operations(new AppConfigurationClient(connection, options));
  const saved = {};
  const resolve = (value) => (typeof value === "string" && value.startsWith("$") ? saved[value.slice(1)] : value);
  const answers = {};
  for (const call of calls) {
    const wanted = Object.fromEntries(Object.entries(call.arguments).map(([name, value]) => [name, resolve(value)]));
    try {
      const answer = await does[call.op](wanted);
      for (const [name, member] of Object.entries(call.save)) saved[name] = answer[member];
      answers[call.id] = answer;
    } catch (error) {
      if (error.statusCode === undefined) answers[call.id] = { error: String(error), type: null };
      else answers[call.id] = { error: error.statusCode, type: problem(error) };
    }
  }
  return answers;
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const answers = await drive(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  process.stdout.write(JSON.stringify(answers));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
