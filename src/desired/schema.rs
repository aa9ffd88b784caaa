//! The JSON Schema of a file, for editors and for checkers that are not ours.
//!
//! Derived from the types that decode the file, then brought to what one file alone must meet: an overlay may leave out
//! anything, since only the merged whole has to be complete, and that the loader checks.

use serde_json::{Map, Value, json};

use super::file::{CHOOSING, File};

/// Returns the JSON Schema of a whole file or of an overlay.
pub(super) fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    split_targets(&mut schema);
    add_layer(&mut schema);
    add_notes(&mut schema, notes());
    join_lines(&mut schema);
    schema
}

/// Joins the lines of descriptions, which are broken where the source's are; paragraphs stay apart.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, inner)| match inner {
            Value::String(text) if name == "description" => {
                *text = text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            _ => join_lines(inner),
        }),
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}

/// Gives each kind of target a definition of its own, of which an overlay may name any part.
fn split_targets(schema: &mut Value) {
    const NAMES: [&str; 2] = ["AwsSsm", "AzureAppConfiguration"];
    let kinds = std::mem::take(&mut schema["$defs"]["Target"]["oneOf"]);
    let kinds = kinds.as_array().cloned().unwrap_or_default();
    for (name, mut kind) in NAMES.into_iter().zip(kinds) {
        if let Some(kind) = kind.as_object_mut() {
            kind.remove("required");
        }
        schema["$defs"][name] = kind;
    }
    // Not `oneOf`: what an overlay says may be right for either kind.
    schema["$defs"]["Target"] = json!({
        "description": "One place in one store. The provider says which settings there are.",
        "anyOf": NAMES.map(|name| json!({ "$ref": format!("#/$defs/{name}") })),
    });
    let targets = &mut schema["properties"]["targets"];
    targets["propertyNames"] = json!({ "pattern": "^[A-Za-z0-9_.-]{1,64}$" });
}

/// Makes the fields of `per_target` an entry's without those that choose targets.
fn add_layer(schema: &mut Value) {
    let mut layer = schema["$defs"]["Entry"].clone();
    if let Some(properties) = layer.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !CHOOSING.contains(&name.as_str()));
    }
    layer["description"] = "Fields of an entry for some targets.".into();
    if let Some(layer) = layer.as_object_mut() {
        layer.remove("examples");
    }
    schema["$defs"]["Layer"] = layer;
    let layers = &mut schema["$defs"]["Entry"]["properties"]["per_target"]["additionalProperties"];
    *layers = json!({ "anyOf": [{ "$ref": "#/$defs/Layer" }, { "type": "null" }] });
}

/// Adds titles, examples and bounds, which editors show and which types do not say.
fn add_notes(schema: &mut Value, notes: Value) {
    let Value::Object(definitions) = notes else { return };
    for (definition, properties) in definitions {
        let place = if definition == "File" { &mut *schema } else { &mut schema["$defs"][&definition] };
        let Value::Object(properties) = properties else { continue };
        for (name, note) in properties {
            let place = if name == "title" { &mut *place } else { &mut place["properties"][&name] };
            match note {
                Value::Object(note) => merge(place, note),
                title => place["title"] = title,
            }
        }
    }
    let Value::Object(entry) = schema["$defs"]["Entry"]["properties"].clone() else { return };
    let Some(layer) = schema["$defs"]["Layer"]["properties"].as_object_mut() else { return };
    for (name, property) in layer {
        *property = entry[name].clone();
    }
}

fn merge(place: &mut Value, note: Map<String, Value>) {
    for (field, value) in note {
        place[field] = value;
    }
}

/// Returns what is added, by definition and property; `title` beside properties is the definition's own.
fn notes() -> Value {
    json!({
        "File": {
            "version": { "title": "Version", "examples": [1] },
            "name": { "title": "Name" },
            "targets": {
                "title": "Targets",
                "examples": [{ "azure": {
                    "provider": "azure-app-configuration", "endpoint": "https://contoso-ai.azconfig.io", "label": "prod"
                } }],
            },
            "policy": { "title": "Policy", "examples": [{ "drift": "correct", "max_deletes": 10 }] },
            "entries": { "title": "Entries", "examples": [{ "chat/fallback-model": { "value": "gpt-4o-mini" } }] },
            "forget": { "title": "Forget" },
        },
        "Target": { "title": "Target" },
        "AwsSsm": {
            "title": "AWS SSM Parameter Store",
            "provider": { "title": "Provider", "description": "Which kind of store this is.", "examples": ["aws-ssm"] },
            "account": { "title": "Account", "examples": ["111122223333"], "pattern": "^[0-9]{12}$" },
            "region": { "title": "Region", "examples": ["eu-west-1"] },
            "prefix": { "title": "Prefix", "examples": ["/ai/assistant/prod"], "pattern": "^/" },
            "kms_key": { "title": "KMS key", "examples": ["alias/ai-config"], "minLength": 1, "maxLength": 256 },
            "serve": { "title": "Serve", "examples": ["latest", { "label": "live" }] },
            "profile": { "title": "Profile", "examples": ["prod"] },
            "assume_role": {
                "title": "Role to assume", "examples": [{ "arn": "arn:aws:iam::111122223333:role/repin" }],
            },
            "endpoint_url": { "title": "Endpoint", "examples": ["http://127.0.0.1:4566"] },
            "allow_http": { "title": "Plain http to another host", "examples": [true] },
            "ca_bundle": { "title": "Certificates to trust", "examples": ["certificates/gateway.pem"] },
            "tier": { "title": "Tier", "examples": ["standard"] },
            "ledger_prefix": { "title": "Ledger prefix", "examples": ["/repin"], "pattern": "^/" },
            "rates": { "title": "Rates", "examples": [{ "get": 100, "put": 10 }] },
            "rate_share": { "title": "Share of the quota", "examples": [0.5], "exclusiveMinimum": 0, "maximum": 1 },
        },
        "AzureAppConfiguration": {
            "title": "Azure App Configuration",
            "provider": {
                "title": "Provider", "description": "Which kind of store this is.",
                "examples": ["azure-app-configuration"],
            },
            "endpoint": { "title": "Endpoint", "examples": ["https://contoso-ai.azconfig.io"] },
            "prefix": { "title": "Prefix", "examples": ["assistant"] },
            "separator": { "title": "Separator", "examples": ["/", ":"], "minLength": 1 },
            "label": { "title": "Label", "examples": ["prod"], "minLength": 1, "maxLength": 256 },
            "serve": { "title": "Serve", "examples": ["key-values", { "snapshot": "release" }] },
            "credential": { "title": "Credential", "examples": ["workload-identity"] },
            "connection_string": {
                "title": "Connection string",
                "examples": [{ "env": "APPCONFIG_CONNECTION" }, { "file": "/run/secrets/appconfig" }],
            },
            "allow_http": { "title": "Plain http to another host", "examples": [true] },
            "ca_bundle": { "title": "Certificates to trust", "examples": ["certificates/gateway.pem"] },
            "revision_retention": {
                "title": "Retention of revisions", "examples": ["7d", "30d"], "pattern": "^[0-9]+[dh]$",
            },
            "rates": { "title": "Rates", "examples": [{ "read": 450, "write": 100 }] },
            "rate_share": { "title": "Share of the quota", "examples": [0.5], "exclusiveMinimum": 0, "maximum": 1 },
        },
        "AssumeRole": {
            "title": "Role to assume",
            "arn": { "title": "ARN", "examples": ["arn:aws:iam::111122223333:role/repin"] },
            "external_id": { "title": "External id", "examples": ["contoso-7"] },
        },
        "Rates": {
            "title": "Rates",
            "get": { "title": "Reads", "examples": [40], "exclusiveMinimum": 0 },
            "put": { "title": "Writes", "examples": [3], "exclusiveMinimum": 0 },
            "delete": { "title": "Deletes", "examples": [3], "exclusiveMinimum": 0 },
        },
        "StoreRates": {
            "title": "Rates",
            "read": { "title": "Reads", "examples": [300], "exclusiveMinimum": 0 },
            "write": { "title": "Writes", "examples": [60], "exclusiveMinimum": 0 },
            "hourly": { "title": "Requests an hour", "examples": [30_000], "exclusiveMinimum": 0 },
        },
        "Policy": {
            "title": "Policy",
            "drift": { "title": "Drift", "examples": ["correct"] },
            "prune": { "title": "Prune", "examples": [true] },
            "max_deletes": { "title": "Most deletes", "examples": [10] },
            "adopt": { "title": "Adopt", "examples": ["never"] },
            "keep_releases": { "title": "Releases kept", "examples": [20], "minimum": 1 },
        },
        "Entry": {
            "title": "Entry",
            "value": { "title": "Value", "examples": ["gpt-4o-mini", { "model": "gpt-4o", "temperature": 0.2 }, 120] },
            "value_from": {
                "title": "Value from elsewhere",
                "examples": [{ "env": "OPENAI_API_KEY" }, { "file": "prompts/system.md" }, { "files": "prompts/*.md" }],
            },
            "type": { "title": "Type", "examples": ["json-string"] },
            "secret": { "title": "Secret", "examples": [true] },
            "trim": { "title": "Trim", "examples": [true] },
            "targets": { "title": "Targets" },
            "per_target": {
                "title": "For some targets",
                "examples": [{ "aws-*": { "value": "https://bedrock-runtime.eu-west-1.amazonaws.com" } }],
            },
            "pin": { "title": "Pin", "examples": [{ "aws-eu": 7 }] },
            "adopt": { "title": "Adopt", "examples": ["equal"] },
            "tier": { "title": "Tier", "examples": ["advanced"] },
            "description": { "title": "Description", "examples": ["Model and sampling of the chat service"] },
            "tags": { "title": "Tags", "examples": [{ "team": "ml-platform" }] },
            "content_type": { "title": "Content type", "examples": ["application/xml"] },
        },
        "Layer": { "title": "Fields for some targets" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every property of a definition, by path, but those that are the whole of a choice.
    fn properties() -> Vec<(String, Value)> {
        let schema = schema();
        let definitions = schema["$defs"].as_object().expect("definitions").clone();
        let all = definitions.into_iter().chain([("File".to_owned(), schema.clone())]);
        all.flat_map(|(definition, body)| {
            let properties = body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
            properties.into_iter().map(move |(name, property)| (format!("{definition}.{name}"), property))
        })
        .collect()
    }

    #[test]
    fn every_property_is_described_and_has_an_example() {
        let properties = properties();
        assert!(properties.len() > 50, "{}", properties.len());
        for (path, property) in properties {
            for field in ["title", "description", "examples"] {
                assert!(property.get(field).is_some(), "{path} has no {field}");
            }
            let is_known = ["type", "$ref", "anyOf", "const"].iter().any(|field| property.get(field).is_some());
            assert!(is_known || path.ends_with(".value"), "{path} is in the notes and not in the types");
        }
    }

    #[test]
    fn descriptions_are_broken_only_into_paragraphs() {
        let text = schema().to_string();
        assert!(!text.replace("\\n\\n", "").contains("\\n"), "{text}");
        assert!(text.contains("an entry of each file that"), "a line of the source ends within these words");
    }

    #[test]
    fn every_definition_of_the_notes_exists() {
        let schema = schema();
        for definition in notes().as_object().expect("a map").keys().filter(|name| *name != "File") {
            let body = &schema["$defs"][definition];
            assert!(body.get("type").is_some() || body.get("anyOf").is_some(), "{definition}");
        }
    }

    #[test]
    fn an_overlay_may_leave_out_anything() {
        let schema = schema();
        assert_eq!(schema.get("required"), None);
        for definition in ["AwsSsm", "AzureAppConfiguration", "Entry", "Layer", "Policy"] {
            assert_eq!(schema["$defs"][definition].get("required"), None, "{definition}");
        }
    }
}
