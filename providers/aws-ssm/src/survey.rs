//! Looks at everything below the prefix as a newcomer does, with what only DescribeParameters tells.

use std::collections::HashMap;

use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterTier};
use repin_provider::{ErrorKind, InvalidName, Item, Key, Result, Surveyed, Tier};

use crate::Ssm;
use crate::client::Pages;
use crate::convert::{self, Pick};
use crate::count::StoreClock;
use crate::observe::{Answer, Picks};
use crate::pace::Category;

/// Parameters on one page of DescribeParameters: the most the store gives.
const PAGE: i32 = 50;
/// The kind of value that a put without a data type makes.
const DATA_TYPE: &str = "text";

/// What one survey found.
#[derive(Debug)]
pub struct Survey {
    /// Everything below the prefix but the ledger, by name.
    pub items: Vec<Surveyed>,
    /// Whether tiers, keys, descriptions and policies are known: to see them takes `ssm:DescribeParameters`, which no pass
    /// needs.
    pub described: bool,
}

impl Ssm {
    /// Looks at everything below the prefix: ceil(N/10) lists, ceil(N/50) descriptions, N requests for tags. Decrypts
    /// nothing.
    ///
    /// # Errors
    /// Fails as a whole, but for descriptions that may not be read.
    pub async fn survey(&self) -> Result<Survey> {
        let clock = StoreClock::default();
        let mut found: Vec<(String, Item)> = Vec::new();
        let path = self.config.prefix.trim_end_matches('/');
        for parameter in self.client.list(path, &clock).await? {
            let (name, item) = self.understand("GetParametersByPath", parameter, convert::item)?;
            if !convert::is_below(&self.config.ledger_prefix, &name) {
                found.push((name, item));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.dedup_by(|(a, _), (b, _)| a == b);
        let served = self.served(&found, &clock).await?;
        let described = self.describe(path).await?;
        let keys: Vec<_> = found.iter().map(|(name, _)| self.key_of(name)).collect();
        let valid: Vec<Key> = keys.iter().flatten().cloned().collect();
        let mut owners = self.owner_tags(&valid).await?.into_iter();
        let mut items = Vec::new();
        for ((native, newest), key) in found.into_iter().zip(keys) {
            let owner = key.as_ref().ok().and_then(|_| owners.next().flatten());
            let about = described.as_ref().and_then(|all| all.get(&native));
            items.push(surveyed(native, key, newest, owner, about, served.as_ref()));
        }
        Ok(Survey { items, described: described.is_some() })
    }

    fn key_of(&self, name: &str) -> std::result::Result<Key, InvalidName> {
        let rest = name.strip_prefix(self.config.prefix.trim_end_matches('/')).unwrap_or(name);
        Key::parse(rest.strip_prefix('/').unwrap_or(rest))
    }

    /// Returns the versions that readers meet where they follow a label; `None` where they meet the newest.
    async fn served(&self, found: &[(String, Item)], clock: &StoreClock) -> Result<Option<HashMap<String, Item>>> {
        let Some(label) = self.config.label() else { return Ok(None) };
        let picks: Picks = found.iter().map(|(name, _)| (name.clone(), Pick::served(Some(label)))).collect();
        let mut answer = Answer::default();
        self.ask(&mut answer, &picks, clock).await?;
        Ok(Some(answer.found))
    }

    /// Describes everything below a path; `None` where that is not allowed.
    async fn describe(&self, path: &str) -> Result<Option<HashMap<String, ParameterMetadata>>> {
        let path = if path.is_empty() { "/" } else { path };
        let call = self.client.call("DescribeParameters", None, path);
        let below = ParameterStringFilter::builder().key("Path").option("Recursive").values(path).build();
        let below = below.map_err(|error| call.error(ErrorKind::Refused, error))?;
        let mut pages = Pages::default();
        let mut all = HashMap::new();
        loop {
            self.client.turn(Category::Put).await;
            let request = self.client.reads().describe_parameters().parameter_filters(below.clone());
            let sent = request.max_results(PAGE).set_next_token(pages.token.clone()).send().await;
            let page = match sent.map_err(|error| call.failed(error)) {
                Ok(page) => page,
                Err(error) if error.kind == ErrorKind::Denied => return Ok(None),
                Err(error) => return Err(error),
            };
            let named = page.parameters.unwrap_or_default().into_iter();
            all.extend(named.filter_map(|about| Some((about.name.clone()?, about))));
            if !pages.turn(page.next_token).map_err(|text| call.error(ErrorKind::Unexpected, text))? {
                return Ok(Some(all));
            }
        }
    }
}

fn surveyed(
    native: String,
    key: std::result::Result<Key, InvalidName>,
    newest: Item,
    owner: Option<String>,
    about: Option<&ParameterMetadata>,
    served: Option<&HashMap<String, Item>>,
) -> Surveyed {
    let met = served.map(|served| served.get(&native).cloned());
    let mut item = match &met {
        Some(Some(labelled)) => labelled.clone(),
        Some(None) | None => newest,
    };
    item.owner = Some(owner);
    item.description = about.and_then(|about| about.description.clone()).filter(|text| !text.is_empty());
    let tier = about.and_then(|about| match about.tier {
        Some(ParameterTier::Advanced) => Some(Tier::Advanced),
        Some(ParameterTier::Standard) => Some(Tier::Standard),
        _ => None,
    });
    Surveyed {
        native,
        key,
        served: !matches!(met, Some(None)),
        tier,
        kms_key: about.and_then(|about| about.key_id.clone()).filter(|_| item.secret),
        special: about.map(special).unwrap_or_default(),
        item,
    }
}

/// Lists what a put by us would take from a parameter, or might.
fn special(about: &ParameterMetadata) -> Vec<String> {
    let mut special = Vec::new();
    let policies: Vec<_> = about.policies().iter().filter_map(|policy| policy.policy_type()).collect();
    if !policies.is_empty() {
        special.push(format!("has parameter policies ({})", policies.join(", ")));
    }
    if let Some(kind) = about.data_type().filter(|kind| *kind != DATA_TYPE) {
        special.push(format!("has the data type {kind}"));
    }
    if about.allowed_pattern().is_some_and(|pattern| !pattern.is_empty()) {
        special.push("has an allowed pattern".to_owned());
    }
    special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_put_would_lose_is_named() {
        let plain = ParameterMetadata::builder().data_type("text").allowed_pattern("").build();
        assert!(special(&plain).is_empty());
        let policy = aws_sdk_ssm::types::ParameterInlinePolicy::builder().policy_type("Expiration").build();
        let odd = ParameterMetadata::builder().data_type("aws:ec2:image").policies(policy).allowed_pattern("a+");
        let said = special(&odd.build());
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("Expiration") && said[1].contains("aws:ec2:image"), "{said:?}");
    }
}
