//! YAML 1.2 to a tree.
//!
//! The parser gives events; here they become values, within a budget, so that no file of a few bytes can stand for a
//! tree that fills the memory.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as RawSpan, Tag};

use super::problem::Issue;
use super::scalar;
use super::tree::{Data, Map, Member, Node, Pos, Span};

/// The deepest nesting. A configuration needs about ten.
pub(super) const MAX_DEPTH: usize = 100;
/// The most values in one file, aliases counted in full.
pub(super) const MAX_NODES: usize = 1_000_000;
/// The most text that aliases may stand for, in bytes.
const MAX_ALIASED: usize = 32 << 20;

/// Parses one document. Flaws that leave the rest readable go to `issues`.
///
/// Where the text stops being YAML inside one of the sections in `tolerant`, the sections before it are returned.
///
/// # Errors
/// Returns what makes the text unreadable.
pub(super) fn parse(text: &str, file: u32, tolerant: &[&str], issues: &mut Vec<Issue>) -> Result<Node, Issue> {
    let mut builder =
        Builder { file, issues, stack: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, aliased: 0 };
    match builder.run(text) {
        Ok(()) => {
            let start = Pos { line: 1, column: 1 };
            builder.root.ok_or_else(|| {
                let hint = "nothing is deleted for that; get the file back, or begin with `repin init`";
                Issue::at(Span { file, start, end: start }, "the file is empty").hint(hint)
            })
        }
        Err(issue) => builder.salvage(tolerant).ok_or(issue),
    }
}

fn pos(marker: &Marker) -> Pos {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
}

/// A value that was anchored, with what an alias to it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    height: usize,
}

struct Frame {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { map: Map, pending: Option<(Option<String>, Span)> },
}

struct Builder<'i> {
    file: u32,
    issues: &'i mut Vec<Issue>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    nodes: usize,
    aliased: usize,
}

impl Builder<'_> {
    fn run(&mut self, text: &str) -> Result<(), Issue> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let at = pos(error.marker());
                let span = Span { file: self.file, start: at, end: at };
                Issue::at(span, format!("not valid YAML: {}", error.info())).unquotable()
            })?;
            self.take(event, span)?;
        }
        Ok(())
    }

    /// Returns the top-level members that were complete when reading stopped inside or behind a tolerant one.
    fn salvage(self, tolerant: &[&str]) -> Option<Node> {
        let Frame { span, content, .. } = self.stack.into_iter().next()?;
        let Content::Map { map, pending } = content else { return None };
        let stopped_at = match &pending {
            Some((name, _)) => name.as_deref()?,
            None => map.last()?.0,
        };
        tolerant.contains(&stopped_at).then_some(Node { span, data: Data::Map(map) })
    }

    fn take(&mut self, event: Event<'_>, raw: RawSpan) -> Result<(), Issue> {
        let span = Span { file: self.file, start: pos(&raw.start), end: pos(&raw.end) };
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Issue::at(span, "the file holds several YAML documents")
                    .hint("put each into a file of its own and give them all: -f a.yaml -f b.yaml"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, span)?;
                self.scalar(&text, style, anchor, tag.as_deref(), span)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.open(span, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                self.open(span, anchor, Content::Map { map: Map::new(), pending: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.start),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Issue> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Issue::at(span, format!("the file holds more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn count_bytes(&mut self, bytes: usize, span: Span) -> Result<(), Issue> {
        self.aliased += bytes;
        if self.aliased > MAX_ALIASED {
            let message = format!("anchors and aliases stand for more than {} MiB of text", MAX_ALIASED >> 20);
            return Err(Issue::at(span, message));
        }
        Ok(())
    }

    fn open(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Issue> {
        self.count(1, span)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(Issue::at(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.refuse_as_key(span)?;
        self.stack.push(Frame { span, anchor, content });
        Ok(())
    }

    /// Refuses a list or a map where a key should be.
    fn refuse_as_key(&self, span: Span) -> Result<(), Issue> {
        match self.stack.last() {
            Some(Frame { content: Content::Map { pending: None, .. }, .. }) => {
                Err(Issue::at(span, "a key must be text, not a list or a map"))
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, end: Pos) -> Result<(), Issue> {
        let frame = self.stack.pop().expect("the parser balances starts and ends");
        let data = match frame.content {
            Content::List(mut items) => {
                items.shrink_to_fit();
                Data::List(items)
            }
            Content::Map { mut map, .. } => {
                // Of small maps, which most are, it would be half of the memory that reading takes.
                map.shrink_to_fit();
                Data::Map(map)
            }
        };
        self.anchor(frame.anchor, Node { span: Span { end: end.max(frame.span.end), ..frame.span }, data })
    }

    /// Remembers a value that has an anchor, then places it.
    fn anchor(&mut self, anchor: usize, node: Node) -> Result<(), Issue> {
        if anchor > 0 {
            let (nodes, bytes, height) = weigh(&node);
            self.count(nodes, node.span)?;
            self.count_bytes(bytes, node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes, height });
        }
        self.place(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Issue> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Issue::at(span, "an alias stands inside the value that it names"));
        };
        let (nodes, bytes, height) = (anchored.nodes, anchored.bytes, anchored.height);
        let node = anchored.node.clone();
        self.count_bytes(bytes, span)?;
        if self.stack.len() + height > MAX_DEPTH {
            return Err(Issue::at(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.count(nodes, span)?;
        if let (true, Data::Text(text)) = (self.wants_key(), &node.data) {
            return self.key(Some(text.clone()), span);
        }
        self.refuse_as_key(span)?;
        self.place(node)
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map { pending: None, .. }, .. }))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Issue> {
        if self.wants_key() {
            return self.scalar_key(text, style, anchor, span);
        }
        let data = self.scalar_data(text, style, tag, span);
        self.anchor(anchor, Node { span, data })
    }

    fn scalar_key(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Result<(), Issue> {
        if anchor > 0 {
            let node = Node { span, data: Data::Text(text.to_owned()) };
            self.anchors.insert(anchor, Anchored { nodes: 1, bytes: text.len(), height: 0, node });
        }
        let plain = style == ScalarStyle::Plain;
        if plain && text == "<<" {
            self.issues.push(
                Issue::at(span, "YAML 1.2 has no merge keys")
                    .hint("repeat the fields, put shared parts into a file of their own, or write \"<<\" in quotes"),
            );
            return self.key(None, span);
        }
        if plain && matches!(scalar::resolve(text), Data::Null) {
            self.issues.push(Issue::at(span, "a key is missing").hint("to use this word as a key put it in quotes"));
            return self.key(None, span);
        }
        self.key(Some(text.to_owned()), span)
    }

    /// Takes a key; `None` for one that was reported, whose value is then dropped.
    fn key(&mut self, text: Option<String>, span: Span) -> Result<(), Issue> {
        let Some(Frame { content: Content::Map { map, pending }, .. }) = self.stack.last_mut() else {
            unreachable!("only asked for inside a map");
        };
        let first = text.as_ref().and_then(|text| map.get(text));
        if let (Some(text), Some(first)) = (&text, first) {
            self.issues.push(duplicate(text, span, first.key));
            *pending = Some((None, span));
        } else {
            *pending = Some((text, span));
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), Issue> {
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { map, pending }) => match pending.take() {
                Some((Some(name), key)) => {
                    map.insert(name, Member { key, node });
                }
                Some((None, _)) => {}
                None => return Err(Issue::at(node.span, "a key must be text")),
            },
        }
        Ok(())
    }

    fn scalar_data(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Data {
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            return if plain { scalar::resolve(text) } else { Data::Text(text.to_owned()) };
        };
        let suffix = tag.suffix.as_str();
        if tag.handle == "!" && suffix.is_empty() || tag.is_yaml_core_schema() && suffix == "str" {
            return Data::Text(text.to_owned());
        }
        let data = scalar::resolve(text);
        let agrees = matches!(
            (suffix, &data),
            ("null", Data::Null) | ("bool", Data::Bool(_)) | ("int" | "float", Data::Number(_))
        );
        if !(tag.is_yaml_core_schema() && agrees) {
            self.issues.push(unknown_tag(span));
        }
        data
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, span: Span) {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == expected)) {
            self.issues.push(unknown_tag(span));
        }
    }
}

fn unknown_tag(span: Span) -> Issue {
    Issue::at(span, "the tag means nothing here or does not fit the value")
        .hint("only !!str, !!int, !!float, !!bool, !!null, !!seq and !!map are known; plain values need none")
}

/// Says that a key stands twice.
pub(super) fn duplicate(name: &str, span: Span, first: Span) -> Issue {
    Issue::at(
        span,
        format!("duplicate key `{name}`; it stands first at line {}, column {}", first.start.line, first.start.column),
    )
    .hint("keep one of the two")
}

/// Returns how many values a node is, how much text it holds and how deep it goes.
fn weigh(node: &Node) -> (usize, usize, usize) {
    let add = |a: (usize, usize, usize), b: (usize, usize, usize)| (a.0 + b.0, a.1 + b.1, a.2.max(b.2 + 1));
    match &node.data {
        Data::Text(text) => (1, text.len(), 0),
        Data::Null | Data::Bool(_) | Data::Number(_) => (1, 0, 0),
        Data::List(items) => items.iter().map(weigh).fold((1, 0, 1), add),
        Data::Map(map) => map
            .iter()
            .map(|(name, member)| {
                let (nodes, bytes, height) = weigh(&member.node);
                (nodes, bytes + name.len(), height)
            })
            .fold((1, 0, 1), add),
    }
}
