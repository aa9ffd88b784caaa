use std::time::Duration;

use repin_emulator::credentials::CONTAINER_TOKEN;

use crate::{ACCOUNT, Stage};

const ROLE: &str = "arn:aws:iam::111122223333:role/deploy";

fn with_keys(stage: Stage) -> Stage {
    let (id, secret) = (stage.emulator.access_key_id(), stage.emulator.secret_access_key().to_owned());
    stage.set("AWS_ACCESS_KEY_ID", id).set("AWS_SECRET_ACCESS_KEY", secret)
}

async fn run(stage: &Stage, scenario: &str) -> String {
    stage.run(scenario, stage.emulator.aws_endpoint()).await
}

#[tokio::test]
async fn keys_and_roles_work_over_tls() {
    let stage = with_keys(Stage::new().await);
    assert_eq!(run(&stage, "aws").await, format!("arn:aws:iam::{ACCOUNT}:user/emulator, version 1"));
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci");
    assert_eq!(run(&stage, "aws-assume-role").await, format!("{session}, version 2"));
}

#[tokio::test]
async fn clients_go_on_working_a_week_ahead() {
    let stage = with_keys(Stage::new().await);
    stage.emulator.clock().advance(Duration::from_secs(7 * 86_400));
    assert!(run(&stage, "aws").await.ends_with(", version 1"));
}

#[tokio::test]
async fn a_web_identity_becomes_a_session() {
    let stage = Stage::new().await;
    let path = stage.file("token", &stage.emulator.service_account_token("sts.amazonaws.com"));
    let stage = stage
        .set("AWS_WEB_IDENTITY_TOKEN_FILE", path.display().to_string())
        .set("AWS_ROLE_ARN", ROLE.to_owned())
        .set("AWS_ROLE_SESSION_NAME", "pod".to_owned());
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/pod");
    assert_eq!(run(&stage, "aws").await, format!("{session}, version 1"));
    stage.file("token", &stage.emulator.service_account_token("api://AzureADTokenExchange"));
    let refused = run(&stage, "aws").await;
    assert!(refused.contains("InvalidIdentityToken"), "{refused}");
    assert_eq!(stage.emulator.counters().count_status("sts", "AssumeRoleWithWebIdentity", 400), 1);
}

#[tokio::test]
async fn containers_get_sessions_by_their_token() {
    let stage = Stage::new().await;
    let uri = format!("{}/credentials", stage.emulator.identity_endpoint());
    let stage = stage
        .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN.to_owned());
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/container/container");
    assert_eq!(run(&stage, "aws").await, format!("{session}, version 1"));
    let path = stage.file("token", &stage.emulator.service_account_token("pods.eks.amazonaws.com"));
    let stage = stage
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", None)
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.display().to_string());
    assert_eq!(run(&stage, "aws").await, format!("{session}, version 2"));
    let stage = stage.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None);
    let stage = stage.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong".to_owned());
    let refused = run(&stage, "aws").await;
    assert!(!refused.contains("version"), "{refused}");
    assert_eq!(stage.emulator.counters().count_status("identity", "GET /credentials", 401), 1);
}
