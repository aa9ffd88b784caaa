//! The reference model: what the guarantees promise, in as few words as possible and without a line of the engine.
//!
//! It knows contents and never versions: what each release served, who holds what, and what each target should show.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;

use crate::stage::Forms;
use crate::story::{At, KEYS, Says};

/// What readers meet under one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    /// Whether it is a SecureString.
    pub(crate) secret: bool,
    pub(crate) text: String,
}

/// What a target shows, or should.
pub(crate) type Items = BTreeMap<&'static str, Content>;

/// A file.
pub(crate) type File = BTreeMap<&'static str, Says>;

/// Returns what a file asks a target to hold.
pub(crate) fn asks(file: &File, at: At) -> Items {
    file.iter().map(|(key, says)| (*key, content(key, at, if at == At::Aws { says.aws } else { says.azure }))).collect()
}

/// Returns one of the contents of a key.
pub(crate) fn content(key: &str, at: At, value: u8) -> Content {
    let text = match (key, at) {
        ("s", At::Aws) => return Content { secret: true, text: format!("secret-{value}") },
        ("s", At::Azure) => format!("ref-{value}"),
        ("c/x", _) => format!("{{\"n\":{value}}}"),
        (key, _) => format!("{key}{value}"),
    };
    Content { secret: false, text }
}

/// What the file may not change for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Contents that may not be released; `None` is absence.
    pub(crate) contents: BTreeSet<Option<Content>>,
    pub(crate) by_hand: bool,
    pub(crate) pinned: bool,
}

impl Hold {
    /// Tells whether it keeps a file from having what it asks for.
    fn holds(&self, asked: &Option<Content>) -> bool {
        self.by_hand || self.pinned || self.contents.contains(asked)
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A rollback that a target has not heard of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owed {
    number: u64,
    to: u64,
    glob: Option<&'static str>,
}

/// One target.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Target {
    /// What is ours, and what it should hold.
    pub(crate) pins: Items,
    /// What is ours no more and still there.
    pub(crate) left: Items,
    /// Where readers meet something else than they should, because somebody else wrote.
    pub(crate) drift: BTreeMap<&'static str, Option<Content>>,
    pub(crate) holds: BTreeMap<&'static str, Hold>,
    /// Keys whose past somebody else destroyed: SSM destroys the history with the parameter.
    pub(crate) lost: BTreeSet<&'static str>,
    /// The pins after each release, and after each loss of ownership (`None`).
    log: Vec<(Option<u64>, Items)>,
    /// Every content that was released.
    released: Vec<(u64, &'static str, Option<Content>)>,
    owed: Option<Owed>,
    /// The releases that its own ledger tells of.
    knows: BTreeSet<u64>,
    /// Whether readers meet all keys together, so that nothing drifts by itself nor is put back by itself.
    together: bool,
    /// Whether going back reads what it brings back: where that has to be put again.
    reads_back: bool,
}

impl Target {
    /// Returns what readers should meet.
    pub(crate) fn shows(&self) -> Items {
        let mut shown = self.pins.clone();
        shown.extend(self.left.clone());
        for (key, instead) in &self.drift {
            match instead {
                Some(content) => shown.insert(key, content.clone()),
                None => shown.remove(key),
            };
        }
        shown
    }

    /// The pins as they were when a release had been the newest.
    fn at(&self, release: u64) -> Items {
        let by_then = self.log.iter().take_while(|(number, _)| number.is_none_or(|number| number <= release));
        by_then.last().map(|(_, pins)| pins.clone()).unwrap_or_default()
    }

    fn first(&self) -> Option<u64> {
        self.log.iter().find_map(|(number, _)| *number)
    }

    /// What was let go of since, and not taken again, stays as it is.
    fn forgotten_since(&self, key: &str, release: u64) -> bool {
        let then = self.at(release);
        !self.pins.contains_key(key) && self.left.contains_key(key) && then.contains_key(key)
    }

    /// What a rollback wants of each key that it is about.
    fn wanted(&self, to: u64, glob: Option<&str>) -> BTreeMap<&'static str, Option<Content>> {
        let then = self.at(to);
        let keys: BTreeSet<_> = self.pins.keys().chain(then.keys()).copied().collect();
        keys.into_iter()
            .filter(|key| matches(glob, key) && !self.forgotten_since(key, to))
            .map(|key| (key, then.get(key).cloned()))
            .collect()
    }

    fn release(&mut self, number: u64, key: &'static str, content: Option<Content>) {
        self.knows.insert(number);
        self.released.push((number, key, content.clone()));
        match content {
            Some(content) => self.pins.insert(key, content),
            None => self.pins.remove(key),
        };
        self.mend(key);
    }

    /// Readers meet what they should again.
    fn mend(&mut self, key: &str) {
        if self.together {
            self.drift.clear();
        } else {
            self.drift.remove(key);
        }
    }

    /// Tells whether nobody has any more what a key should hold.
    fn is_gone(&self, key: &str) -> bool {
        self.drift.get(key) == Some(&None) && self.lost.contains(key)
    }

    fn note(&mut self, number: Option<u64>) {
        self.log.push((number, self.pins.clone()));
    }

    /// Guarantee 2. `newest` says whether the file is that of the newest release: what another one asks for says nothing
    /// about what will be asked for.
    fn roll_back(&mut self, number: u64, (to, glob): (u64, Option<&'static str>), file: Option<&Items>, newest: bool) {
        let wanted = self.wanted(to, glob);
        let in_file = file.into_iter().flat_map(|file| file.keys().copied()).filter(|key| matches(glob, key));
        let keys: BTreeSet<_> = wanted.keys().copied().chain(in_file).collect();
        let mut holds = self.holds.clone();
        for key in keys {
            let restored = wanted.get(key).cloned().flatten();
            let asked = file.map(|file| file.get(key).cloned());
            let is_secret = matches!(&asked, Some(Some(content)) if content.secret);
            let moves = self.pins.get(key) != restored.as_ref();
            let mut hold = holds.get(key).cloned().unwrap_or_default();
            if is_secret && !moves && !hold.pinned {
                // Whatever brought it back decided about its hold: nothing is read that would tell more.
                continue;
            }
            holds.remove(key);
            let after = self.released.iter().filter(|(n, released, _)| *n > to && *released == key);
            hold.contents.extend(after.map(|(_, _, content)| content.clone()));
            if let Some(asked) = asked {
                let equal = asked == restored;
                // A rollback must not need the source of a secret, so that what the file asks for of one is held only
                // by the versions that had it. Only where it is put again is it read, and can be told to be equal.
                let told = !is_secret || (moves && self.reads_back);
                if !is_secret {
                    hold.contents.insert(asked);
                }
                if equal && newest && told && !hold.by_hand {
                    hold.contents.clear();
                }
            }
            hold.contents.remove(&restored);
            hold.pinned &= !moves;
            if !hold.is_empty() {
                holds.insert(key, hold);
            }
        }
        let before = std::mem::replace(&mut self.holds, holds);
        for (key, content) in wanted {
            if self.pins.get(key) != content.as_ref() {
                self.release(number, key, content);
            }
        }
        if self.holds != before {
            self.knows.insert(number);
        }
        self.note(Some(number));
    }
}

/// Tells whether a glob is about a key; none is about all.
pub(crate) fn matches(glob: Option<&str>, key: &str) -> bool {
    glob.is_none_or(|glob| Glob::new(glob).expect("a glob of the stories").compile_matcher().is_match(key))
}

/// How a file stands to the releases (guarantee 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    Changed,
    Behind,
}

/// What a pass is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expect {
    /// It is refused, and nothing is written.
    Refused(&'static str),
    /// It makes a release.
    Release,
    /// It makes a release only to say something, or none.
    Perhaps,
    /// It makes none.
    None,
}

/// What a host knows of its own file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Host {
    pub(crate) file: File,
    /// The file when it was last the newest, and each time since that a run died which was about to make it that.
    pub(crate) newest: Vec<File>,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) targets: BTreeMap<At, Target>,
    pub(crate) hosts: Vec<Host>,
    /// The file that each release made true, oldest first.
    files: Vec<(u64, File)>,
    /// Every release, and why it was made.
    made: BTreeMap<u64, Made>,
}

/// Why a release was made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Made {
    File,
    Back { to: u64, glob: Option<&'static str> },
    Pin,
}

impl Model {
    pub(crate) fn new(Forms { label, snapshot }: Forms) -> Self {
        let target = |at| match at {
            At::Aws => Target { reads_back: !label, ..Target::default() },
            At::Azure => Target { reads_back: !snapshot, together: snapshot, ..Target::default() },
        };
        let targets = At::BOTH.map(|at| (at, target(at))).into();
        Self { targets, hosts: vec![Host::default(), Host::default()], ..Self::default() }
    }

    pub(crate) fn target(&self, at: At) -> &Target {
        &self.targets[&at]
    }

    /// The releases that there are, newest first.
    pub(crate) fn releases(&self) -> Vec<u64> {
        self.made.keys().rev().copied().collect()
    }

    pub(crate) fn standing(&self, host: usize, older: bool) -> Standing {
        let Host { file, newest } = &self.hosts[host];
        match self.files.last() {
            None => Standing::Changed,
            Some((_, last)) if last == file => Standing::Current,
            Some((_, last)) => {
                let was_released = self.files.iter().any(|(_, released)| released == file);
                if was_released && !newest.contains(last) && !older { Standing::Behind } else { Standing::Changed }
            }
        }
    }

    /// Finishes what targets have not heard of: it goes before everything but a rollback of everything, which decides
    /// anew. Whoever finishes it holds what its own file asks for, if it can read that. Returns whether there was any.
    pub(crate) fn finish_owed(&mut self, (host, blind): (usize, bool), reached: impl Fn(At) -> bool) -> bool {
        let file = self.hosts[host].file.clone();
        let newest = self.standing(host, true) == Standing::Current;
        let mut any = false;
        for (at, target) in self.targets.iter_mut().filter(|(at, _)| reached(**at)) {
            if let Some(owed) = target.owed.take() {
                let asked = (!blind).then(|| asks(&file, *at));
                target.roll_back(owed.number, (owed.to, owed.glob), asked.as_ref(), newest);
                target.knows.insert(owed.number);
                any = true;
            }
        }
        any
    }

    /// Tells whether a release is known only where nobody can look for now. Then a release may get its number again and
    /// nobody can count back over it: not modelled.
    pub(crate) fn hides(&self, cut_off: At) -> bool {
        self.made.keys().any(|number| {
            let knows = |at: &At| self.targets[at].knows.contains(number);
            knows(&cut_off) && !At::BOTH.iter().any(|at| *at != cut_off && knows(at))
        })
    }

    /// One pass of a host. `number` is the one that its release gets, if it makes one.
    pub(crate) fn reconcile(&mut self, host: usize, older: bool, number: u64) -> Expect {
        let owed = self.finish_owed((host, false), |_| true);
        let standing = self.standing(host, older);
        let file = self.hosts[host].file.clone();
        if standing != Standing::Behind {
            for (at, target) in &self.targets {
                let asked = asks(&file, *at);
                let held = |key: &str| target.holds.get(key).is_some_and(|hold| hold.holds(&asked.get(key).cloned()));
                if target.left.keys().any(|key| asked.contains_key(key) && !held(key)) {
                    // What was let go of is somebody else's, even where it holds what is asked for (adopt: never).
                    return Expect::Refused("foreign");
                }
            }
        }
        let mut released = false;
        for (at, target) in &mut self.targets {
            let asked = if standing == Standing::Behind { None } else { Some(asks(&file, *at)) };
            released |= bring(target, asked.as_ref(), number);
        }
        if released {
            self.files.push((number, file.clone()));
            self.made.insert(number, Made::File);
            self.targets.values_mut().for_each(|target| target.note(Some(number)));
        }
        if released || standing == Standing::Current {
            self.hosts[host].newest = vec![file];
        }
        match (released, owed) {
            (true, _) => Expect::Release,
            (false, true) => Expect::Perhaps,
            (false, false) => Expect::None,
        }
    }

    /// Resolves where a rollback goes.
    pub(crate) fn steps_back(&self, steps: u32, glob: Option<&'static str>) -> Option<u64> {
        // Going back takes what lies between out of the count. A rollback of some keys counts for those who ask about
        // just these. A pin is no release of changed file content, and no way back either.
        let mut line: Vec<u64> = Vec::new();
        let mut lines: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (number, made) in &self.made {
            match made {
                Made::File => line.push(*number),
                Made::Back { to, glob: about } if about.is_none() || *about == glob => line = lines[to].clone(),
                Made::Back { .. } | Made::Pin => {}
            }
            lines.insert(*number, line.clone());
        }
        let at = line.len().checked_sub(1 + steps as usize)?;
        line.get(at).copied()
    }

    /// A rollback by a host.
    pub(crate) fn roll_back(
        &mut self,
        (host, blind): (usize, bool),
        to: u64,
        glob: Option<&'static str>,
        cut_off: Option<At>,
        number: u64,
    ) -> Expect {
        let reached = |at: &At| cut_off != Some(*at);
        if glob.is_some() {
            self.finish_owed((host, blind), |at| reached(&at));
        }
        if self.targets.iter().any(|(at, target)| reached(at) && target.first().is_some_and(|first| first > to)) {
            return Expect::Refused("a target is younger");
        }
        let about = |target: &Target| {
            let ever = target.released.iter().map(|(_, key, _)| key).filter(|key| !target.left.contains_key(**key));
            ever.into_iter().any(|key| matches(glob, key))
        };
        if !self.targets.iter().any(|(at, target)| reached(at) && about(target)) {
            return Expect::Refused("no such key");
        }
        let file = (!blind).then(|| self.hosts[host].file.clone());
        let newest = self.standing(host, true) == Standing::Current;
        let before = self.clone();
        // One that has not heard of an earlier rollback hears of this one, and of that no more.
        let supersedes = self.targets.iter().any(|(at, target)| reached(at) && target.owed.is_some());
        for (at, target) in &mut self.targets {
            let asked = file.as_ref().map(|file| asks(file, *at));
            if reached(at) {
                target.roll_back(number, (to, glob), asked.as_ref(), newest);
                if target.owed.take().is_some() || cut_off.is_some() {
                    // It has to be told, whether or not there is anything to do.
                    target.knows.insert(number);
                }
            } else {
                target.owed = Some(Owed { number, to, glob });
            }
        }
        let moved = At::BOTH.iter().any(|at| self.targets[at].pins != before.targets[at].pins);
        let held = At::BOTH.iter().any(|at| self.targets[at].holds != before.targets[at].holds);
        if !moved && !held && !supersedes && cut_off.is_none() && number == 0 {
            // It equals once. Whether two versions of a secret are equal nobody can tell without reading them, so that
            // one may take the place of the other in a release of its own.
            *self = before;
            return Expect::Perhaps;
        }
        self.made.insert(number, Made::Back { to, glob });
        if moved || cut_off.is_some() { Expect::Release } else { Expect::Perhaps }
    }

    /// A pin by hand of a content that the store has.
    pub(crate) fn pin(&mut self, host: usize, at: At, key: &'static str, content: Content, number: u64) -> Expect {
        self.finish_owed((host, false), |target| target == at);
        let target = self.targets.get_mut(&at).expect("both are there");
        let before = target.clone();
        target.holds.entry(key).or_default().pinned = true;
        if target.pins.get(key) != Some(&content) {
            target.release(number, key, Some(content));
        }
        if *target == before {
            return Expect::Perhaps;
        }
        let moved = target.pins != before.pins;
        target.knows.insert(number);
        target.note(Some(number));
        self.made.insert(number, Made::Pin);
        if moved { Expect::Release } else { Expect::Perhaps }
    }

    /// An order about holds: what becomes of each that it matches.
    pub(crate) fn order(
        &mut self,
        host: usize,
        glob: Option<&str>,
        cut_off: Option<At>,
        change: impl Fn(Hold) -> Hold,
        makes: bool,
    ) -> bool {
        let file = self.hosts[host].file.clone();
        self.finish_owed((host, false), |at| cut_off != Some(at));
        let mut any = false;
        for (at, target) in self.targets.iter_mut().filter(|(at, _)| cut_off != Some(**at)) {
            let known = target.pins.keys().chain(target.holds.keys()).copied();
            let known: BTreeSet<_> = known.chain(asks(&file, *at).into_keys()).collect();
            for key in known.into_iter().filter(|key| matches(glob, key)) {
                if !makes && !target.holds.contains_key(key) {
                    continue;
                }
                let before = target.holds.remove(key).unwrap_or_default();
                let after = change(before.clone());
                any |= after != before;
                if !after.is_empty() {
                    target.holds.insert(key, after);
                }
            }
        }
        any
    }

    /// Gives up ownership.
    pub(crate) fn forget(&mut self, host: usize, key: &'static str, cut_off: Option<At>) -> bool {
        self.finish_owed((host, false), |at| cut_off != Some(at));
        let mut any = false;
        for (_, target) in self.targets.iter_mut().filter(|(at, _)| cut_off != Some(**at)) {
            if let Some(content) = target.pins.remove(key) {
                let shown = target.drift.remove(key).unwrap_or(Some(content));
                target.left.extend(shown.map(|content| (key, content)));
                target.holds.remove(key);
                target.note(None);
                any = true;
            }
        }
        any
    }
}

/// Brings a target to what a file asks, as far as it may have it; `None` for a file that is behind. Whether anything was
/// released.
fn bring(target: &mut Target, asked: Option<&Items>, number: u64) -> bool {
    let mut released = false;
    let behind = asked.is_none();
    for key in KEYS {
        let asked = match asked {
            Some(asked) => asked.get(key).cloned(),
            None => target.pins.get(key).cloned(),
        };
        let same = target.pins.get(key) == asked.as_ref();
        let held = target.holds.get(key).is_some_and(|hold| hold.holds(&asked));
        // Of a secret that is gone nobody can tell whether it is what the file asks for: putting it again may make a
        // release.
        let is_secret = asked.as_ref().is_some_and(|content| content.secret);
        if same && is_secret && number > 0 && !behind && target.is_gone(key) && !target.holds.contains_key(key) {
            target.release(number, key, asked);
            released = true;
            continue;
        }
        if same || held {
            // What the file asks for can be put again; what only a version held that is destroyed cannot.
            // A held one is left alone.
            let untold = is_secret && target.holds.contains_key(key);
            if !(target.is_gone(key) && (behind || untold || (held && !same))) {
                target.mend(key);
            }
            continue;
        }
        target.release(number, key, asked);
        target.holds.remove(key);
        released = true;
    }
    released
}
