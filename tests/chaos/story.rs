//! What may happen in one run, drawn from its seed, and what is left of it when parts are taken out.

use fastrand::Rng;
use repin_emulator::FaultKind;

/// How a target is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Latest,
    Label,
    KeyValues,
    Snapshot,
}

impl Form {
    pub(crate) fn is_aws(self) -> bool {
        matches!(self, Self::Latest | Self::Label)
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Json,
    JsonString,
    AiChat,
    /// Another value on each target.
    PerTarget,
    /// A secret in Parameter Store, a reference beside it.
    Secret,
    /// A text with tags and a description that change with it.
    Described,
    /// On the first target only.
    OnFirst,
}

const KINDS: [Kind; 8] = [
    Kind::Text,
    Kind::Json,
    Kind::JsonString,
    Kind::AiChat,
    Kind::PerTarget,
    Kind::Secret,
    Kind::Described,
    Kind::OnFirst,
];

/// What is so from the beginning to the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) targets: Vec<Form>,
    pub(crate) hosts: usize,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) prune: bool,
    /// Whether drift is put back.
    pub(crate) corrects: bool,
    pub(crate) adopt: &'static str,
    pub(crate) keep_releases: u32,
    /// Whether a host's passes are made by one process.
    pub(crate) resident: bool,
    /// Whether the stores keep to their quotas.
    pub(crate) quotas: bool,
    /// Seconds by which reads lag behind writes.
    pub(crate) lag: u64,
    pub(crate) short_pages: bool,
    /// Milliseconds that a snapshot takes.
    pub(crate) provisioning: u64,
    pub(crate) recreate_wait: bool,
    /// The kinds of faults that there are.
    pub(crate) faults: Vec<FaultKind>,
}

/// What somebody else does, past the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Change,
    Delete,
    Recreate,
    /// Moves the label that readers follow, or adds one of their own.
    Label,
    /// Locks a key-value; it is unlocked when the faults stop.
    Lock,
}

const DEEDS: [Deed; 5] = [Deed::Change, Deed::Delete, Deed::Recreate, Deed::Label, Deed::Lock];

/// Somebody else, in the middle of what a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rival {
    /// Before which call, from 1.
    pub(crate) call: u64,
    pub(crate) target: usize,
    pub(crate) key: usize,
    pub(crate) deed: Deed,
}

/// When a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// At this call, before or after it takes effect.
    Call { call: u64, lands: bool },
    /// When it has been woken so often.
    Poll(u64),
}

/// A command of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Reconcile {
        older: bool,
        atomic: bool,
        only: Option<usize>,
    },
    /// To the release this many before the newest, or so many steps.
    Release {
        nth: u64,
        glob: Option<&'static str>,
    },
    Steps {
        steps: u32,
        glob: Option<&'static str>,
    },
    Hold {
        glob: &'static str,
    },
    Resume {
        glob: Option<&'static str>,
    },
    Pin {
        target: usize,
        key: usize,
        back: u64,
    },
    Unpin {
        key: usize,
    },
    Forget {
        key: usize,
    },
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// `None` for all hosts; no value drops the entry.
    Edit {
        host: Option<usize>,
        key: usize,
        value: Option<u8>,
    },
    /// A host gets the file that another has.
    Copy {
        from: usize,
    },
    /// A host's file is again what it was so many edits ago.
    Revert {
        host: usize,
        edits: usize,
    },
    Run {
        host: usize,
        command: Command,
    },
    /// Two hosts at once.
    Both {
        commands: [Command; 2],
    },
    /// A host forgets everything.
    Lose {
        host: usize,
    },
    /// What a host wrote last is cut off at a part of its length, in 256ths.
    Cut {
        host: usize,
        at: u8,
    },
    Foul {
        target: usize,
        key: usize,
        deed: Deed,
    },
    Wait {
        seconds: u64,
    },
}

/// Something that happens, and what gets in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) act: Act,
    /// How many of a thousand requests meet a fault, and the seed of which.
    pub(crate) storm: u32,
    pub(crate) seed: u64,
    pub(crate) death: Option<Death>,
    pub(crate) rival: Option<Rival>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Story {
    pub(crate) settings: Settings,
    pub(crate) turns: Vec<Turn>,
}

/// The globs that commands are about.
const GLOBS: [&str; 4] = ["k0*", "*1", "group/*", "k2*"];

impl Story {
    /// Draws one.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x9e37_79b9_7f4a_7c15);
        let settings = Settings::draw(&mut rng);
        // The worst of it is the same for a whole story: some are quiet, some are wild.
        let worst = [0, 0, 50, 100, 200, 300, 500][rng.usize(..7)];
        let count = rng.usize(3..=12);
        let mut turns = vec![Turn::plain(Act::Run { host: 0, command: Command::plain() }, rng.u64(..))];
        if rng.bool() {
            turns[0].storm = worst;
        }
        turns.extend((0..count).map(|_| Turn::draw(&mut rng, &settings, worst)));
        Self { settings, turns }
    }

    /// Lists stories with less in them, the ones with the least first.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let halves = [(0, self.turns.len() / 2), (self.turns.len() / 2, self.turns.len())];
        for (from, to) in halves.into_iter().filter(|(from, to)| to - from > 1) {
            let turns = self.turns.iter().enumerate().filter(|(n, _)| !(from..to).contains(n));
            smaller.push(Self { turns: turns.map(|(_, turn)| turn.clone()).collect(), ..self.clone() });
        }
        for n in 0..self.turns.len() {
            let mut less = self.clone();
            less.turns.remove(n);
            smaller.push(less);
        }
        for n in 0..self.turns.len() {
            for turn in self.turns[n].smaller() {
                let mut less = self.clone();
                less.turns[n] = turn;
                smaller.push(less);
            }
        }
        smaller.extend(self.settings.smaller().into_iter().map(|settings| Self { settings, ..self.clone() }));
        smaller
    }
}

/// Draws kinds of faults: all of them in one story would leave none of them room.
fn draw_faults(rng: &mut Rng) -> Vec<FaultKind> {
    let often = rng.u8(1..=4);
    let drawn = FaultKind::ALL.into_iter().filter(|kind| {
        // Large answers take longer to make than all else.
        let rare = *kind == FaultKind::Oversized && rng.u8(..8) > 0;
        rng.u8(..4) < often && !rare
    });
    drawn.collect()
}

impl Settings {
    fn draw(rng: &mut Rng) -> Self {
        let forms = [Form::Latest, Form::Label, Form::KeyValues, Form::Snapshot];
        let mut targets: Vec<Form> = (0..rng.usize(1..=3)).map(|_| forms[rng.usize(..4)]).collect();
        // There are two regions and one store.
        targets.sort_by_key(|form| !form.is_aws());
        while targets.iter().filter(|form| !form.is_aws()).count() > 1 {
            targets.pop();
        }
        if targets.len() == 3 && targets.iter().all(|form| form.is_aws()) {
            targets.pop();
        }
        Self {
            targets,
            hosts: rng.usize(1..=2),
            kinds: (0..rng.usize(3..=12)).map(|_| KINDS[rng.usize(..KINDS.len())]).collect(),
            prune: rng.u8(..5) > 0,
            corrects: rng.u8(..5) > 0,
            adopt: ["never", "never", "equal", "always"][rng.usize(..4)],
            keep_releases: if rng.u8(..4) == 0 { 1 } else { 20 },
            resident: rng.bool(),
            quotas: rng.u8(..4) == 0,
            lag: if rng.u8(..4) == 0 { rng.u64(1..9) } else { 0 },
            short_pages: rng.u8(..4) == 0,
            provisioning: [0, 200, 5_000][rng.usize(..3)],
            recreate_wait: rng.bool(),
            faults: draw_faults(rng),
        }
    }

    fn smaller(&self) -> Vec<Self> {
        let mut smaller = vec![
            Self { quotas: false, ..self.clone() },
            Self { lag: 0, ..self.clone() },
            Self { short_pages: false, ..self.clone() },
            Self { provisioning: 0, ..self.clone() },
            Self { recreate_wait: false, ..self.clone() },
            Self { resident: false, ..self.clone() },
            Self { keep_releases: 20, ..self.clone() },
            Self { adopt: "never", ..self.clone() },
            Self { prune: true, ..self.clone() },
            Self { corrects: true, ..self.clone() },
        ];
        if self.kinds.len() > 1 {
            smaller.push(Self { kinds: self.kinds[..self.kinds.len() - 1].to_vec(), ..self.clone() });
        }
        for kind in &self.faults {
            let less = self.faults.iter().copied().filter(|other| other != kind).collect();
            smaller.push(Self { faults: less, ..self.clone() });
        }
        for n in 0..self.targets.len() {
            if self.targets.len() > 1 {
                let mut less = self.clone();
                less.targets.remove(n);
                smaller.push(less);
            }
        }
        for n in 0..self.kinds.len() {
            let mut less = self.clone();
            less.kinds[n] = Kind::Text;
            smaller.push(less);
        }
        smaller.retain(|less| less != self);
        smaller
    }
}

impl Command {
    /// One pass, as it comes.
    pub(crate) fn plain() -> Self {
        Self::Reconcile { older: false, atomic: false, only: None }
    }

    fn draw(rng: &mut Rng, settings: &Settings) -> Self {
        let glob = |rng: &mut Rng| (rng.u8(..4) == 0).then(|| GLOBS[rng.usize(..GLOBS.len())]);
        let key = rng.usize(..settings.kinds.len());
        match rng.u8(..24) {
            0..12 => Self::Reconcile {
                older: rng.u8(..8) == 0,
                atomic: rng.u8(..5) == 0,
                only: (rng.u8(..8) == 0).then(|| rng.usize(..settings.targets.len())),
            },
            12..15 => Self::Release { nth: rng.u64(..4), glob: glob(rng) },
            15..18 => Self::Steps { steps: rng.u32(1..3), glob: glob(rng) },
            18 => Self::Hold { glob: GLOBS[rng.usize(..GLOBS.len())] },
            19 | 20 => Self::Resume { glob: glob(rng) },
            21 => Self::Pin { target: rng.usize(..settings.targets.len()), key, back: rng.u64(..3) },
            22 => Self::Unpin { key },
            _ => Self::Forget { key },
        }
    }
}

impl Turn {
    /// Nothing gets in its way.
    pub(crate) fn plain(act: Act, seed: u64) -> Self {
        Self { act, storm: 0, seed, death: None, rival: None }
    }

    fn draw(rng: &mut Rng, settings: &Settings, worst: u32) -> Self {
        let (host, key) = (rng.usize(..settings.hosts), rng.usize(..settings.kinds.len()));
        let target = rng.usize(..settings.targets.len());
        let act = match rng.u8(..32) {
            0..10 => Act::Edit {
                host: (rng.u8(..4) == 0).then_some(host),
                key,
                value: (rng.u8(..5) > 0).then(|| rng.u8(..4)),
            },
            10 => Act::Copy { from: host },
            11 => Act::Revert { host, edits: rng.usize(1..4) },
            12..25 => Act::Run { host, command: Command::draw(rng, settings) },
            25 | 26 if settings.hosts > 1 => {
                Act::Both { commands: [Command::draw(rng, settings), Command::draw(rng, settings)] }
            }
            25 | 26 => Act::Run { host, command: Command::plain() },
            27 => Act::Lose { host },
            28 => Act::Cut { host, at: rng.u8(..) },
            29 | 30 => Act::Foul { target, key, deed: DEEDS[rng.usize(..DEEDS.len())] },
            _ => Act::Wait { seconds: [1, 40, 130, 4_000][rng.usize(..4)] },
        };
        let mut turn = Self::plain(act, rng.u64(..));
        if matches!(turn.act, Act::Run { .. } | Act::Both { .. }) {
            if worst > 0 && rng.u8(..3) > 0 {
                turn.storm = rng.u32(1..=worst);
            }
            turn.death = match rng.u8(..12) {
                0 | 1 => Some(Death::Call { call: rng.u64(1..40), lands: rng.bool() }),
                2 => Some(Death::Poll(rng.u64(1..300))),
                _ => None,
            };
            if rng.u8(..8) == 0 {
                let deed = DEEDS[rng.usize(..DEEDS.len())];
                turn.rival = Some(Rival { call: rng.u64(1..40), target, key, deed });
            }
        }
        turn
    }

    fn smaller(&self) -> Vec<Self> {
        let mut smaller = vec![
            Self { storm: 0, ..self.clone() },
            Self { storm: self.storm / 2, ..self.clone() },
            Self { death: None, ..self.clone() },
            Self { rival: None, ..self.clone() },
        ];
        if let Act::Both { commands } = &self.act {
            for (host, command) in commands.iter().enumerate() {
                smaller.push(Self { act: Act::Run { host, command: command.clone() }, ..self.clone() });
            }
        }
        if let Act::Run { host, command: Command::Reconcile { .. } } = self.act {
            smaller.push(Self { act: Act::Run { host, command: Command::plain() }, ..self.clone() });
        }
        smaller.retain(|less| less != self);
        smaller
    }
}
