//! Files that are too large, too deep, too many or no files at all: each is refused in a sentence, or taken, within bounds.
//!
//! The program itself is run, under a limit of memory that it would die of. Bounds on time are ten times and more what is
//! measured on an idle machine, those on memory about twice as much.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The address space that a run may take, in KB. Most of it is set aside by the allocator and never touched.
const SPACE: u64 = 4 << 20;
/// What a run may keep in memory, in MB. Measured at the most, for a list of 7.5 million numbers in 15 MB of YAML: 179
/// unoptimized, 224 optimized.
const MOST: i64 = 450;
/// How long a run may take with the unoptimized program, on a machine that does other things too.
const LONGEST: Duration = Duration::from_secs(100);
/// The part of a file before its entries.
const HEAD: &str = "version: 1\nname: test\ntargets:\n  aws: { provider: aws-ssm, account: \"111122223333\", region: \
                    eu-west-1, prefix: /ai/test, tier: advanced }\nentries:\n";

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// The most memory that any run of this process has kept so far, in MB.
    peak: i64,
}

impl Ran {
    /// Asserts that the file was refused with these words in one sentence, and returns what was said.
    #[track_caller]
    fn refused(self, words: &str) -> String {
        assert_eq!(self.code, Some(78), "{}", &self.stderr[..self.stderr.len().min(2000)]);
        assert!(self.stderr.contains(words), "{words} in {}", &self.stderr[..self.stderr.len().min(2000)]);
        assert!(self.stderr.len() < 100_000, "{} bytes are said", self.stderr.len());
        self.stderr
    }

    #[track_caller]
    fn taken(self) -> String {
        assert_eq!(self.code, Some(0), "{}", &self.stderr[..self.stderr.len().min(2000)]);
        self.stdout
    }
}

/// Validates files under limits.
fn validate(files: &[&Path]) -> Ran {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -v \"$0\" && exec \"$@\"",
        &SPACE.to_string(),
        env!("CARGO_BIN_EXE_repin"),
        "validate",
    ]);
    command.args(files.iter().flat_map(|file| ["-f".as_ref(), file.as_os_str()]));
    let folder = files[0].parent().unwrap();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("ODD", "\u{1b}[2J").current_dir(folder);
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let (done, ended) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(LONGEST).is_err() {
            // Still our child: nobody has waited for it.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    let _ = done.send(());
    watch.join().unwrap();
    assert!(began.elapsed() < LONGEST, "it took {:?} and was ended", began.elapsed());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    // In KB on Linux; of the children that were waited for.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() >> 10;
    assert!(peak <= MOST, "{peak} MB were kept in memory");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr), peak }
}

fn folder() -> (tempfile::TempDir, impl Fn(&str, &str) -> PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().to_owned();
    let write = move |name: &str, text: &str| {
        let path = base.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    (dir, write)
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn slow_a_file_of_fifty_megabytes_is_refused_before_it_is_read() {
    let (dir, write) = folder();
    let path = write("large.yaml", HEAD);
    std::fs::File::options().append(true).open(&path).unwrap().set_len(50 << 20).unwrap();
    let ran = validate(&[&path]);
    // Measured: 24 MB unoptimized and 15 optimized, which is what the program takes to say anything. Tests of one process
    // see each other's children.
    assert!(ran.peak < 64 || std::env::var_os("NEXTEST").is_none(), "{} MB were kept in memory", ran.peak);
    let said = ran.refused("cannot be read: it has more than 16777216 bytes");
    assert_eq!(said.lines().count(), 1, "{said}");
    drop(dir);
}

#[test]
fn slow_files_as_large_as_they_may_be_are_bounded_in_what_they_cost() {
    let (_dir, write) = folder();
    let fill = |unit: &str| unit.repeat((15 << 20) / unit.len());
    for (name, text, words) in [
        ("values.json", format!("{{\"version\":1,\"x\":[{}1]}}", fill("1,")), "more than 1000000 values"),
        ("values.yaml", format!("version: 1\nx: [{}1]\n", fill("1,")), "more than 1000000 values"),
        ("twice.json", format!("{{{}\"version\":1}}", fill("\"a\":1,")), "more than 1000000 values"),
        ("one-line.yaml", format!("{HEAD}  a: {{ value: \"{}\" }}\n", fill("x")), "cannot hold `a`"),
        ("one-key.yaml", format!("{HEAD}  ? {}\n  : {{ value: x }}\n", fill("k")), ""),
        ("comment.yaml", format!("# {}\n{HEAD}  a: {{ value: x }}\n", fill("c")), "valid"),
    ] {
        let ran = validate(&[&write(name, &text)]);
        match words {
            "valid" => drop(ran.taken()),
            words => drop(ran.refused(words)),
        }
    }
}

#[test]
fn a_hundred_thousand_mistakes_are_not_all_told() {
    let (_dir, write) = folder();
    let said = validate(&[&write("twice.yaml", &format!("{HEAD}{}", "  a: { vlaue: x }\n".repeat(100_000)))]);
    let said = said.refused("more problems, which are not shown");
    assert!(said.matches("error").count() <= 201, "{}", said.matches("error").count());
}

#[test]
fn deep_nesting_and_bombs_are_refused() {
    let (_dir, write) = folder();
    let deep = 10_000;
    let bomb = (1..30).fold("  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        format!("{text}  a{n}: &a{n} [{alias}x]\n")
    });
    for (name, text, words) in [
        ("flow.yaml", format!("{HEAD}  a: {{ value: {}{} }}\n", "[".repeat(deep), "]".repeat(deep)), "recursion limit"),
        ("open.yaml", format!("{HEAD}  a: {{ value: {}", "{a: ".repeat(deep)), ""),
        ("block.yaml", format!("{HEAD}  a: {{ value: x }}\nx:\n {}\n", "- ".repeat(deep)), ""),
        ("keys.yaml", format!("{HEAD}{}", "? ".repeat(deep)), ""),
        ("flow.json", format!("{{\"entries\":{}{}}}", "[".repeat(deep), "]".repeat(deep)), "not valid JSON"),
        ("bomb.yaml", format!("{HEAD}{bomb}"), "more than"),
        ("self.yaml", format!("{HEAD}  a: &a [*a]\n"), "inside the value that it names"),
    ] {
        validate(&[&write(name, &text)]).refused(words);
    }
}

#[test]
fn slow_a_hundred_thousand_entries_are_what_one_account_holds() {
    let (_dir, write) = folder();
    let entries = |count: usize| (0..count).map(|n| format!("  k{n:06}: {{ value: v }}\n")).collect::<String>();
    let ran = validate(&[&write("fits.yaml", &format!("{HEAD}{}", entries(100_000)))]);
    // Measured: 141 MB unoptimized and 119 optimized, which is 1.2 KB for each entry.
    assert!(ran.peak < 280 || std::env::var_os("NEXTEST").is_none(), "{} MB were kept in memory", ran.peak);
    let said = ran.taken();
    assert!(said.contains("aws 100000 entries"), "{said}");
    validate(&[&write("more.yaml", &format!("{HEAD}{}", entries(100_001)))]).refused("cannot hold so much");
    let standard = HEAD.replace("advanced", "standard");
    validate(&[&write("standard.yaml", &format!("{standard}{}", entries(10_001)))]).refused("cannot hold so much");
}

#[test]
fn slow_ten_thousand_targets_are_taken() {
    let (_dir, write) = folder();
    let target = |n: usize| {
        format!("  t{n}: {{ provider: aws-ssm, account: \"111122223333\", region: eu-west-1, prefix: /ai/t{n} }}\n")
    };
    let targets: String = (0..10_000).map(target).collect();
    let text = format!("version: 1\nname: test\ntargets:\n{targets}entries:\n  a: {{ value: x, targets: [t7] }}\n");
    assert!(validate(&[&write("many.yaml", &text)]).taken().contains("t7 1 entry"));
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let (dir, write) = folder();
    let pipe = dir.path().join("pipe.yaml");
    mkfifo(&pipe);
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("zero.yaml")).unwrap();
    std::fs::create_dir(dir.path().join("folder.yaml")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket.yaml")).unwrap();
    for (name, words) in [
        ("pipe.yaml", "it is no regular file"),
        ("zero.yaml", "it is no regular file"),
        ("socket.yaml", "it is no regular file"),
        ("folder.yaml", "it is a folder"),
    ] {
        validate(&[&dir.path().join(name)]).refused(words);
        let value = format!("{HEAD}  a: {{ value_from: {{ file: {name} }} }}\n");
        validate(&[&write("value.yaml", &value)]).refused(words);
    }
    let pattern = format!("{HEAD}  \"p/*\": {{ value_from: {{ files: \"*.yaml\" }} }}\n");
    validate(&[&write("pattern.yaml", &pattern)]).refused("it is no regular file");
    drop(socket);
}

#[test]
fn a_value_of_a_gigabyte_is_refused_before_it_is_read() {
    let (dir, write) = folder();
    std::fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 30).unwrap();
    let file = write("repin.yaml", &format!("{HEAD}  a: {{ value_from: {{ file: sparse }} }}\n"));
    validate(&[&file]).refused("it has more than 1048576 bytes");
}

#[test]
fn what_is_no_text_is_refused_and_a_mark_at_the_start_is_none() {
    let (dir, write) = folder();
    let raw = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let valid = format!("{HEAD}  a: {{ value: x }}\n");
    validate(&[&raw("latin.yaml", &[valid.as_bytes(), b"# \xe9\n"].concat())]).refused("not UTF-8 text");
    validate(&[&raw("nul.yaml", &[valid.as_bytes(), b"# \0\n"].concat())]).refused("a control character");
    validate(&[&raw("escape.yaml", &[valid.as_bytes(), b"# \x1b[2J\n"].concat())]).refused("a control character");
    let wide: Vec<u8> = valid.encode_utf16().flat_map(u16::to_le_bytes).collect();
    validate(&[&raw("wide.yaml", &[b"\xff\xfe".as_slice(), &wide].concat())]).refused("not UTF-8 text");
    validate(&[&write("marked.yaml", &format!("\u{feff}{valid}"))]).taken();
}

/// A file that is cut off and written anew while it is read is a valid one with fewer entries, to who is unlucky.
#[test]
fn a_file_is_read_whole_while_it_is_rewritten() {
    use repin::desired::{Request, load};
    let (_dir, write) = folder();
    let entries = |word: &str| (0..300).map(|n| format!("  k{n:03}: {{ value: {word} }}\n")).collect::<String>();
    let (one, two) = (format!("{HEAD}{}", entries("one")), format!("{HEAD}{}", entries("two")));
    let path = write("repin.yaml", &one);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stopped, file) = (std::sync::Arc::clone(&stop), path.clone());
    let writer = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            for text in [&two, &one] {
                std::fs::write(&file, text).unwrap();
                // Rest is what a reader waits for.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let since = Instant::now();
    let (mut whole, mut refused) = (0, 0);
    while since.elapsed() < Duration::from_secs(3) || (whole == 0 && since.elapsed() < Duration::from_secs(30)) {
        match load(&Request::new([&path], |_| None)) {
            Ok(desired) => {
                let entries = desired.targets.values().next().unwrap().entries.len();
                assert_eq!(entries, 300, "half a file was taken for a whole one");
                whole += 1;
            }
            Err(_) => refused += 1,
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(whole > 0, "never read, {refused} times refused");
}
