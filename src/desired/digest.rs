//! Names a desired state by what it asks for.
//!
//! Two files have one digest exactly where a pass would bring about the same: places and not the names of targets,
//! values as they compare (JSON without order or spelling), secrets by reference. How a host reaches a store
//! (credentials, endpoints of emulators, rates) is no part of it, since hosts differ there.

use std::collections::BTreeMap;

use repin_provider::{Key, Place};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::model::desired::{Entry, FileDigest, Policy, TargetConfig};

/// How many bytes of the hash are kept. A digest tells files apart; nothing is proven by it.
const KEPT: usize = 16;

/// What makes two values the same: the canonical text, or for a secret where it is read from.
#[derive(Debug)]
pub(super) enum Identity {
    /// The value in its canonical form.
    Value(String),
    /// The reference as the author wrote it, and whether a final newline is dropped.
    Secret {
        /// `env:NAME` or `file:PATH`.
        reference: String,
        /// The entry's `trim`.
        trim: bool,
    },
}

/// A digest in the making. Keeps only hashes of entries, so that it costs no second copy of the values.
#[derive(Debug, Default)]
pub(super) struct Digest {
    entries: BTreeMap<(Place, Key), [u8; 32]>,
}

impl Digest {
    /// Adds an entry of one target.
    pub(super) fn add(&mut self, place: &Place, key: &Key, entry: &Entry, identity: &Identity) {
        let value = match identity {
            Identity::Value(text) => json!({ "value": text }),
            Identity::Secret { reference, trim } => json!({ "secret": reference, "trim": trim }),
        };
        let text = json!([
            entry.kind,
            value,
            entry.content_type,
            entry.adopt,
            entry.tier,
            entry.description,
            entry.tags,
            entry.pin
        ])
        .to_string();
        self.entries.insert((place.clone(), key.clone()), Sha256::digest(text).into());
    }

    /// Finishes with what is not about one entry.
    pub(super) fn finish<'a>(
        self,
        name: &str,
        targets: impl Iterator<Item = (&'a Place, &'a TargetConfig)>,
        policy: &Policy,
        forget: &[String],
    ) -> FileDigest {
        let targets: BTreeMap<_, _> =
            targets.map(|(place, config)| (place.as_str(), content_settings(config))).collect();
        let forget: std::collections::BTreeSet<_> = forget.iter().collect();
        let mut hash = Sha256::new();
        hash.update(json!(["repin desired state 1", name, targets, policy, forget]).to_string());
        for ((place, key), entry) in &self.entries {
            hash.update(json!([place, key]).to_string());
            hash.update(entry);
        }
        FileDigest(hex::encode(&hash.finalize()[..KEPT]))
    }
}

/// Returns the settings of a target that change what the store holds or what readers read.
fn content_settings(config: &TargetConfig) -> serde_json::Value {
    match config {
        TargetConfig::AwsSsm(config) => json!([config.kms_key, config.serve, config.tier]),
        TargetConfig::AzureAppConfiguration(config) => json!([config.separator, config.serve]),
    }
}
