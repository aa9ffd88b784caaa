//! What the daemon answers to those who ask over `--listen`, and what it says in its log.

use std::time::Duration;

use repin_emulator::Fault;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::running::{NEVER, Running, SOON, several_passes};
use crate::support::{World, hand};

/// Says something to somebody, and returns all that they answer before they hang up.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("it hangs up");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn connect(address: &str) -> tokio::net::TcpStream {
    tokio::net::TcpStream::connect(address).await.expect("connects")
}

async fn get(address: &str, path: &str) -> String {
    say(connect(address).await, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await
}

/// Starts a daemon that answers over TCP, and returns where.
async fn listening(world: &World, interval: &str) -> (Running, String) {
    let daemon = Running::launch(world, &["--interval", interval, "--listen", "127.0.0.1:0"]);
    daemon.until_said("release 1 is served").await;
    let log = daemon.log();
    let address = log.split("answering on http://").nth(1).and_then(|rest| rest.lines().next()).expect("an address");
    (daemon, address.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_status_are_told_over_http() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: two }\n");
    let (daemon, address) = listening(&world, SOON).await;
    hand(&world).await[0].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    assert!(get(&address, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(&address, "/readyz").await.ends_with("ready\n"));
    assert!(get(&address, "/v1/status").await.contains("\"daemon\":{"));
    assert!(get(&address, "/nothing").await.starts_with("HTTP/1.1 404"));
    let answer = get(&address, "/metrics").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "repin_target_up{target=\"azure\"} 1",
        "repin_target_release{target=\"aws-eu\"} 1",
        "repin_target_entries{target=\"aws-eu\"} 2",
        "repin_drift_corrected_total{target=\"aws-eu\"} 1",
        "repin_file_valid 1",
        "repin_release_waiting 0",
        "repin_passes_total{pass=\"release\",target=\"all\",result=\"good\"} 1",
        "repin_requests_total{target=\"aws-eu\",operation=\"PutParameter\",status=\"200\"} ",
        "repin_requests_total{target=\"azure\",operation=\"PUT /kv/{key}\",status=\"200\"} ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in\n{text}");
    }
    assert!(!text.contains("tampered"), "{text}");
    world.entries("  a: { valeu: one }\n");
    daemon.until_said("the last good one stays in force").await;
    // It says so a moment before it notes so.
    let is_told = async || {
        let text = get(&address, "/metrics").await;
        let invalid = text.lines().find_map(|line| line.strip_prefix("repin_file_reloads_total{result=\"invalid\"} "));
        text.contains("repin_file_valid 0\n") && invalid.is_some_and(|count| count != "0")
    };
    daemon.until("told as invalid", is_told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_answers_is_counted_also_where_it_answers_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let (daemon, address) = listening(&world, SOON).await;
    world.faults(|call| match call.service.as_str() {
        "ssm" => Fault::DropBefore,
        _ => Fault::Refuse { status: 403, code: "Forbidden".into(), message: "no".into(), retry_after_ms: None },
    });
    daemon.until_said("unreachable: aws-eu").await;
    daemon.until_said("denied: azure").await;
    // Which operation is the first to fail depends on what was at work just then.
    let unanswered = async || {
        let text = get(&address, "/metrics").await;
        let of_aws = text.lines().filter(|line| line.starts_with("repin_requests_total{target=\"aws-eu\","));
        of_aws.into_iter().any(|line| line.contains("status=\"none\"} "))
    };
    daemon.until("counted", unanswered).await;
    for line in [
        "repin_requests_total{target=\"azure\",operation=\"GET /kv\",status=\"403\"} ",
        "repin_passes_total{pass=\"repair\",target=\"azure\",result=\"failed\"} ",
        "repin_target_up{target=\"azure\"} 0",
    ] {
        let is_told = async || get(&address, "/metrics").await.lines().any(|told| told.starts_with(line));
        daemon.until(line, is_told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_will_do() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let path = world.path("http.sock");
    let daemon = Running::launch(&world, &["--interval", NEVER, "--listen", path.to_str().expect("text")]);
    daemon.until_said("release 1 is served").await;
    let ask = async |request: &str| {
        let stream = tokio::net::UnixStream::connect(&path).await.expect("connects");
        say(stream, request.as_bytes()).await
    };
    assert!(ask("GET /livez HTTP/1.1\r\nhost: repin\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    // Whoever reaches the file is who they are, whatever they call us.
    let metrics = ask("GET /metrics HTTP/1.1\r\nhost: any.example\r\n\r\n").await;
    assert!(metrics.contains("repin_target_up{target=\"azure\"} 1"), "{metrics}");
    daemon.kill().await;
    assert!(path.exists());
    let daemon = Running::launch(&world, &["--interval", NEVER, "--listen", path.to_str().expect("text")]);
    daemon.until_said("answering on unix:").await;
    assert_eq!(daemon.stop().await.0, 0);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_rebinds_its_name_is_answered_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let (_daemon, address) = listening(&world, NEVER).await;
    for stranger in ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example"] {
        let request = format!("GET /v1/status HTTP/1.1\r\nhost: {stranger}\r\n\r\n");
        let answer = say(connect(&address).await, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("test"), "{answer}");
    }
    let request = "GET http://evil.example/v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(say(connect(&address).await, request.as_bytes()).await.starts_with("HTTP/1.1 421"));
    let own = format!("GET /livez HTTP/1.1\r\nhost: {address}\r\n\r\n");
    assert!(say(connect(&address).await, own.as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(say(connect(&address).await, b"GET /livez HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    let post = "POST /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    assert!(say(connect(&address).await, post.as_bytes()).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_hang_or_send_garbage_cost_nothing() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let (daemon, address) = listening(&world, SOON).await;
    // More than there are seats, and none of them ever says anything whole.
    let mut kept = Vec::new();
    for n in 0..150 {
        let mut stream = connect(&address).await;
        let said: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nhost: loc",
            _ => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        };
        let _ = stream.write_all(said).await;
        kept.push(stream);
    }
    hand(&world).await[1].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    daemon.until("answered", async || get(&address, "/livez").await.starts_with("HTTP/1.1 200")).await;
    // Headers without end are not read to their end.
    let endless = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; 1 << 20]].concat();
    let answer = say(connect(&address).await, &endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // One who announces much and sends nothing is answered all the same.
    let announced = "GET /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999999999\r\n\r\n";
    assert!(say(connect(&address).await, announced.as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(daemon.ask("/live").await.starts_with("HTTP/1.0 200"), "the other socket has seats of its own");
    assert_eq!(daemon.said("ERROR"), 0, "{}", daemon.log());
}

/// Returns a refusal of one key, of every other kind nothing.
fn refuse_b(call: &repin_emulator::Call) -> Fault {
    let put = call.operation == "PUT /kv/{key}" && call.name.as_deref().is_some_and(|name| name.ends_with("/b"));
    let (code, message) = ("BadRequest".to_owned(), "not like this".to_owned());
    if put { Fault::Refuse { status: 400, code, message, retry_after_ms: None } } else { Fault::None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_refuses_is_tried_ever_more_rarely_and_told_once() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n  b: { value: one }\n");
    let (daemon, address) = listening(&world, SOON).await;
    world.faults(refuse_b);
    world.entries("  a: { value: two }\n  b: { value: two }\n");
    daemon.until_said("release 2 is served in part: 2 on aws-eu, 1 on azure").await;
    daemon.until_said("refused: azure").await;
    // At full speed about ten tries in this time; after 0.3, 0.6, 1.2 and 2.4 s it is at most four.
    let tries = async || {
        let text = get(&address, "/metrics").await;
        let counted = "repin_requests_total{target=\"azure\",operation=\"PUT /kv/{key}\",status=\"400\"} ";
        text.lines().find_map(|line| line.strip_prefix(counted)?.parse::<u64>().ok()).unwrap_or(0)
    };
    several_passes().await;
    several_passes().await;
    let tried = tries().await;
    assert!((1..=6).contains(&tried), "{tried}\n{}", daemon.log());
    let text = get(&address, "/metrics").await;
    assert!(text.contains("repin_target_refused_entries{target=\"azure\"} 1\n"), "{text}");
    assert!(text.contains("repin_target_up{target=\"azure\"} 0\n"), "not well because it was not tried: {text}");
    assert_eq!((daemon.said("refused: azure"), daemon.said("is well again")), (1, 0), "{}", daemon.log());
    // Everything else goes on.
    hand(&world).await[1].overwrite("a", "tampered").await;
    daemon.until_said("drift was put back: a").await;
    // What the file asks for now is another matter.
    world.emulator.faults().clear();
    world.entries("  a: { value: two }\n  b: { value: three }\n");
    daemon.until("all is served", async || world.served("azure", "b").await["value"] == "three").await;
    daemon
        .until("well", async || {
            get(&address, "/metrics").await.contains("repin_target_refused_entries{target=\"azure\"} 0\n")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_lines_of_json_where_that_is_asked_for() {
    let world = World::new().await;
    world.entries("  a: { value: one }\n");
    let args = ["--interval", NEVER, "--log-format", "json", "-vv"];
    let daemon = Running::launch(&world, &args);
    daemon.until_said("release 1 is served").await;
    let log = daemon.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let served = lines.iter().find(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains("is served")));
    assert_eq!(served.expect("said")["level"], "INFO");
    // Each request stands in its target, and that in its pass.
    let put = lines.iter().find(|line| {
        line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["operation"] == "PutParameter"))
    });
    let put = put.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(put["fields"]["status"], 200, "{put}");
    let names: Vec<_> = put["spans"].as_array().expect("spans").iter().map(|span| span["name"].clone()).collect();
    assert_eq!(put["spans"][1]["target_name"], "aws-eu", "{put}");
    assert_eq!((&names[1], &names[2]), (&"target".into(), &"request".into()), "{put}");
    assert_eq!(put["spans"][0]["kind"], "release", "{put}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_told_how_grave_a_line_is() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new().await;
    world.entries("  a: { valeu: one }\n");
    let path = world.path("journal");
    let run = async |stream: String| {
        let log = std::fs::File::create(&path).expect("made");
        let mut command = world.command(&["daemon", "--interval", NEVER, "--color", "always"]);
        command.env("JOURNAL_STREAM", stream).stderr(log);
        command
    };
    world.entries("  a: { value: one }\n");
    let log = std::fs::File::create(&path).expect("made");
    let metadata = log.metadata().expect("there");
    for (stream, is_journal) in [(format!("{}:{}", metadata.dev(), metadata.ino()), true), ("1:2".to_owned(), false)] {
        let mut child = run(stream).await.spawn().expect("starts");
        let began = std::time::Instant::now();
        let said = loop {
            let said = std::fs::read_to_string(&path).expect("readable");
            if said.contains("started") && said.contains("fixed at start") {
                break said;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        child.kill().await.expect("killed");
        if is_journal {
            assert!(said.lines().all(|line| line.starts_with("<6> INFO ") || line.starts_with("<4> WARN ")), "{said}");
            assert!(said.contains("<4> WARN fixed at start") && !said.contains('\u{1b}'), "{said}");
        } else {
            assert!(!said.contains("<6>") && said.contains('\u{1b}'), "{said}");
        }
    }
}
