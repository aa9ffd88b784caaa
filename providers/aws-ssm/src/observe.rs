//! Looks at what the store holds, and reads values on purpose.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_ssm::types::Parameter;
use futures::{StreamExt, TryStreamExt, stream};
use repin_provider::{ErrorKind, Item, Key, Observation, Observe, ReadRequest, ReadValue, Result, Seen, Version, View};

use crate::Ssm;
use crate::convert::{self, BATCH, Pick, Selector};
use crate::count::StoreClock;

/// Reads under way at once. More would only queue at the quota.
const PARALLEL: usize = 4;

/// What is wrong about an answer that leaves out what was asked for.
pub(crate) const UNNAMED: &str = "the store named it neither as found nor as missing";

/// What to ask for: full names, and which version of each.
pub(crate) type Picks = BTreeMap<String, Pick>;

/// What the store said of some names.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What it holds, by full name.
    pub(crate) found: HashMap<String, Item>,
    missing: HashSet<String>,
}

impl Answer {
    fn version(&self, name: &str) -> Option<&Version> {
        self.found.get(name).map(|item| &item.version)
    }

    /// Tells whether the store said anything of a name.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        self.found.contains_key(name) || self.missing.contains(name)
    }

    fn forget(&mut self, names: &[&String]) {
        for name in names {
            self.found.remove(*name);
            self.missing.remove(*name);
        }
    }
}

impl Ssm {
    pub(crate) async fn observe_keys(&self, request: Observe) -> Result<Observation> {
        let clock = StoreClock::default();
        let label = self.config.label().filter(|_| request.view == View::Served);
        let wanted: BTreeMap<String, Key> = request.keys.into_iter().map(|key| (self.name_of(&key), key)).collect();
        let picks = self.picks(&wanted, label, &request.versions);
        let mut answer = Answer::default();
        let mut foreign = None;
        if request.census {
            let (listed, others) = self.census(&wanted, &clock).await?;
            answer.found = listed;
            // It lists the latest versions, which are not what a label serves.
            answer.found.retain(|name, _| picks.get(name) == Some(&Pick::Newest));
            foreign = Some(others);
        }
        // A listing may miss what was just made, so what it lacks is asked for by name before it counts as absent.
        self.ask(&mut answer, &picks, &clock).await?;
        // Any other version says nothing of the one that a write would meet.
        for (name, item) in answer.found.iter().filter(|(name, _)| picks.get(*name) == Some(&Pick::Newest)) {
            self.memory.saw(name, item);
        }
        let never = |name: &String| !picks.contains_key(name);
        answer.missing.extend(wanted.keys().filter(|name| never(name)).cloned());
        let items = wanted.into_iter().map(|(name, key)| (key, seen(&mut answer, &name))).collect();
        Ok(Observation { items, foreign, reference: None, at: clock.earliest(), resume: None })
    }

    /// Returns which version to ask for of each wanted name. A past version that SSM never had is left out.
    fn picks(&self, wanted: &BTreeMap<String, Key>, label: Option<&str>, past: &BTreeMap<Key, Version>) -> Picks {
        let pick = |key: &Key| match past.get(key) {
            Some(version) => convert::number(version).map(Pick::Number),
            None => Some(Pick::served(label)),
        };
        wanted.iter().filter_map(|(name, key)| Some((name.clone(), pick(key)?))).collect()
    }

    /// Lists everything below the prefix: what is wanted, and the names of the rest.
    async fn census(
        &self,
        wanted: &BTreeMap<String, Key>,
        clock: &StoreClock,
    ) -> Result<(HashMap<String, Item>, Vec<String>)> {
        let path = self.config.prefix.trim_end_matches('/');
        let mut listed = HashMap::new();
        let mut foreign = Vec::new();
        for parameter in self.client.list(path, clock).await? {
            let (name, item) = self.understand("GetParametersByPath", parameter, convert::item)?;
            if wanted.contains_key(&name) {
                listed.insert(name, item);
            } else if !convert::is_below(&self.config.ledger_prefix, &name) {
                foreign.push(name);
            }
        }
        foreign.sort();
        foreign.dedup();
        Ok((listed, foreign))
    }

    /// Asks for the names that are not answered yet, and again for those that were answered as they stood before our
    /// own last write or move of the label, until the store's lag has passed.
    pub(crate) async fn ask(&self, answer: &mut Answer, picks: &Picks, clock: &StoreClock) -> Result<()> {
        let mut open: Vec<&String> = picks.keys().filter(|name| !answer.found.contains_key(*name)).collect();
        loop {
            self.ask_once(answer, picks, open, clock).await?;
            let late = picks.iter().filter(|(name, pick)| self.is_late(name, pick, answer.version(name)));
            open = late.map(|(name, _)| name).collect();
            if open.is_empty() {
                return Ok(());
            }
            tracing::debug!(names = open.len(), "the store still answers as before our writes");
            tokio::time::sleep(self.memory.again()).await;
            answer.forget(&open);
        }
    }

    /// Tells whether an answer is older than what we did last to what was asked for.
    fn is_late(&self, name: &str, pick: &Pick, shown: Option<&Version>) -> bool {
        match pick {
            Pick::Newest => self.memory.is_stale(name, shown),
            Pick::Labelled(_) => self.memory.is_label_stale(name, shown),
            Pick::Number(number) => shown.is_none() && self.memory.put_lately(name, *number),
        }
    }

    /// Asks for names, ten a request.
    async fn ask_once(
        &self,
        answer: &mut Answer,
        picks: &Picks,
        names: Vec<&String>,
        clock: &StoreClock,
    ) -> Result<()> {
        let texts: BTreeMap<String, &String> = names.into_iter().map(|name| (picks[name].of(name), name)).collect();
        let asked: Vec<String> = texts.keys().cloned().collect();
        let batches: Vec<Vec<String>> = asked.chunks(BATCH).map(<[String]>::to_vec).collect();
        let mut answers = stream::iter(batches)
            .map(|batch| self.client.get_parameters(batch, false, None, clock))
            .buffer_unordered(PARALLEL);
        while let Some((parameters, missing)) = answers.try_next().await? {
            for parameter in parameters.into_iter().filter(|parameter| is_asked(picks, parameter)) {
                let (name, item) = self.understand("GetParameters", parameter, convert::item)?;
                answer.found.insert(name, item);
            }
            answer.missing.extend(missing.iter().filter_map(|text| texts.get(text)).map(|name| (*name).clone()));
        }
        Ok(())
    }

    pub(crate) async fn read_values(&self, requests: &[ReadRequest]) -> Result<Vec<Option<ReadValue>>> {
        let calls = convert::calls(requests.iter().filter_map(|request| self.selector(request)).collect());
        let values: Vec<HashMap<(String, Pick), ReadValue>> =
            stream::iter(calls).map(|call| self.read_call(call)).buffer_unordered(PARALLEL).try_collect().await?;
        let values: HashMap<_, _> = values.into_iter().flatten().collect();
        Ok(requests.iter().map(|request| self.pick(&values, request)).collect())
    }

    /// Returns what to ask for; `None` where the version is none that SSM could have.
    fn selector(&self, request: &ReadRequest) -> Option<Selector> {
        let pick = match &request.version {
            None => Pick::served(self.config.label()),
            Some(version) => Pick::Number(convert::number(version)?),
        };
        Some(Selector { name: self.name_of(&request.key), pick, key: request.key.clone() })
    }

    /// Returns the value for a request, unless it is of another incarnation of the name.
    fn pick(&self, values: &HashMap<(String, Pick), ReadValue>, request: &ReadRequest) -> Option<ReadValue> {
        let selector = self.selector(request)?;
        let value = values.get(&(selector.name, selector.pick))?;
        request.version.as_ref().is_none_or(|wanted| *wanted == value.version).then(|| value.clone())
    }

    /// Reads up to ten selectors. One key that cannot be decrypted fails the store's whole answer, so each is then read
    /// by itself to name it.
    async fn read_call(&self, call: Vec<Selector>) -> Result<HashMap<(String, Pick), ReadValue>> {
        let [_, _, ..] = call.as_slice() else { return self.read_together(&call).await };
        match self.read_together(&call).await {
            Err(error) if matches!(error.kind, ErrorKind::KeyUnusable | ErrorKind::Denied) => {
                tracing::debug!(%error, "reading one by one to find the parameter at fault");
                let mut values = HashMap::new();
                for selector in &call {
                    values.extend(self.read_together(std::slice::from_ref(selector)).await?);
                }
                Ok(values)
            }
            other => other,
        }
    }

    async fn read_together(&self, call: &[Selector]) -> Result<HashMap<(String, Pick), ReadValue>> {
        let names = call.iter().map(Selector::text).collect();
        let key = match call {
            [only] => Some(&only.key),
            _ => None,
        };
        let (parameters, missing) = self.client.get_parameters(names, true, key, &StoreClock::default()).await?;
        self.check_named(call.len(), parameters.len() + missing.len())?;
        let asked: HashMap<&str, &Pick> =
            call.iter().map(|selector| (selector.name.as_str(), &selector.pick)).collect();
        let mut values = HashMap::new();
        for parameter in parameters {
            let pick = parameter.name().and_then(|name| asked.get(name)).filter(|pick| pick.fits(&parameter)).copied();
            let (name, value) = self.understand("GetParameters", parameter, convert::read_value)?;
            if let Some(pick) = pick {
                values.insert((name, pick.clone()), value);
            }
        }
        Ok(values)
    }

    /// Insists that an answer is about everything that was asked for: what is left out is not missing for that.
    pub(crate) fn check_named(&self, asked: usize, named: usize) -> Result<()> {
        if named >= asked {
            return Ok(());
        }
        let message = format!("the store was asked for {asked} names and answered {named}, as found or as missing");
        Err(self.client.call("GetParameters", None, "").error(ErrorKind::Unexpected, message))
    }

    /// Converts what the store answered, or says that it makes no sense.
    pub(crate) fn understand<T>(
        &self,
        operation: &'static str,
        parameter: Parameter,
        convert: fn(Parameter) -> Option<T>,
    ) -> Result<T> {
        let name = parameter.name.clone().unwrap_or_default();
        convert(parameter).ok_or_else(|| {
            let message = "the answer lacks the parameter's name, version or value";
            self.client.call(operation, None, &name).error(ErrorKind::Unexpected, message)
        })
    }
}

/// Tells whether a parameter is what was asked for, and not some other version of it. A nameless one is for
/// [`Ssm::understand`] to complain of.
fn is_asked(picks: &Picks, parameter: &Parameter) -> bool {
    parameter.name().is_none_or(|name| picks.get(name).is_some_and(|pick| pick.fits(parameter)))
}

fn seen(answer: &mut Answer, name: &str) -> Seen {
    match answer.found.remove(name) {
        Some(item) => Seen::Present(item),
        None if answer.missing.contains(name) => Seen::Absent,
        None => Seen::Unreadable(UNNAMED.to_owned()),
    }
}
