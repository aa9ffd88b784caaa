"""The provider of Parameter Store keeps its promises against emulators that other people wrote.

The suite itself is the contract crate's; `providers/aws-ssm/tests/peers.rs` runs it and says what a peer gets wrong.
"""

import re

from peers import Ministack, run_cargo_test

SUITE = "provider conformance"
PEER = "moto {moto}"

VERDICT = re.compile(r"^(ok|deviates|FAILED|STALE) +(\w+)(?:: (.*))?$", re.MULTILINE)


def run(peer, cases, difference):
    """Runs the suite against a peer and counts its cases."""
    environment = {"REPIN_PEER_ENDPOINT": peer.endpoint, "REPIN_PEER_ACCOUNT": peer.account}
    done = run_cargo_test("peers", "--nocapture", "--exact", peer.name, **environment)
    verdicts = VERDICT.findall(done.stdout)
    for verdict, _, reason in verdicts:
        if verdict == "deviates":
            difference(reason)
    cases(len(verdicts), sum(verdict in ("ok", "deviates") for verdict, *_ in verdicts))
    assert done.returncode == 0 and verdicts, done.stdout + done.stderr


def test_the_ssm_provider_on_moto(moto, cases, difference):
    run(moto, cases, difference)


def test_the_ssm_provider_on_ministack(cases, difference):
    with Ministack() as ministack:
        run(ministack, cases, difference)


test_the_ssm_provider_on_ministack.suite = (SUITE, "ministack {ministack}")
