//! TLS is always verified; the authorities of a target are trusted beside the system's.

use repin_emulator::Options;

use crate::support::World;

/// Both clouds over TLS, from an authority of their own.
async fn world() -> (World, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let options = Options { dir: Some(data.path().to_owned()), tls: true, ..Options::default() };
    (World::with(options).await, data)
}

/// Writes a file whose targets trust what another file holds.
fn trusting(world: &World, authorities: &str) {
    let targets = world.head().replace("    prefix:", &format!("    ca_bundle: {authorities}\n    prefix:"));
    world.write("conf/repin.yaml", &format!("{targets}entries:\n  a: {{ value: one }}\n"));
}

async fn run(world: &World, environment: &[(&str, String)]) -> (i32, String) {
    let mut command = world.command(&["reconcile", "-f", "conf/repin.yaml"]);
    let ran = command.envs(environment.iter().cloned()).output().await.expect("runs");
    (ran.status.code().unwrap_or(-1), String::from_utf8_lossy(&ran.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_trusted_where_the_file_or_the_environment_names_it() {
    let (world, _data) = world().await;
    let authority = world.emulator.ca_certificate().expect("it has one").to_owned();
    world.write("conf/authority.pem", &authority);
    trusting(&world, "authority.pem");
    let (exit, said) = run(&world, &[]).await;
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = {
        let ran = world.run(&["rollback", "1", "--dry-run", "-f", "conf/repin.yaml"]).await;
        (ran.code, ran.stderr)
    };
    assert_eq!(exit, 0, "{said}");
    world.write("conf/repin.yaml", &format!("{}entries:\n  a: {{ value: two }}\n", world.head()));
    let path = world.path("conf/authority.pem").display().to_string();
    let (exit, said) = run(&world, &[("SSL_CERT_FILE", path)]).await;
    assert_eq!(exit, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_believed() {
    let (world, _data) = world().await;
    let (other, _other_data) = self::world().await;
    world.write("conf/other.pem", other.emulator.ca_certificate().expect("it has one"));
    trusting(&world, "other.pem");
    let (exit, said) = run(&world, &[]).await;
    assert_eq!(exit, 75, "{said}");
    // Both authorities have one name, so that only the signature tells them apart.
    let told: Vec<_> = said.lines().filter(|line| line.contains("invalid peer certificate")).collect();
    assert!(told.len() == 2 && told.iter().all(|line| line.starts_with("error: ")), "one sentence a target: {said}");
    assert_eq!(world.emulator.counters().total("ssm") + world.emulator.counters().total("appconfig"), 0);
    // There is no switch.
    let off = ["NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "AWS_NO_VERIFY_SSL"];
    let off: Vec<_> = off.iter().map(|name| (*name, "0".to_owned())).collect();
    assert_eq!(run(&world, &off).await.0, 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_that_cannot_be_used_are_said_to_be() {
    let (world, _data) = world().await;
    for (text, why) in [
        (None, "No such file"),
        (Some("no certificate"), "there is none"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca_bundle: "),
    ] {
        text.map(|text| world.write("conf/authority.pem", text));
        trusting(&world, "authority.pem");
        let (exit, said) = run(&world, &[]).await;
        assert!(exit == 1 && said.contains(why) && !said.contains("mistake of its own"), "{exit}: {said}");
    }
}
