"""Programs that run beside the tests: our emulator, and the ones that other people wrote."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

ACCOUNT = "111122223333"
REGION = "eu-west-1"
KMS_ALIAS = "alias/ai-config"
PATIENCE = 30.0
ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A child process that ends with the block that started it."""

    def __init__(self, command, **options):
        self.child = subprocess.Popen(command, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def clean_environment(**more):
    """The environment of a child: nothing of this machine's credentials or settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def aws_client(service, endpoint, key, secret, region, config):
    """A boto3 client that asks once: retries would hide what is compared."""
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=once.merge(config) if config else once,
    )


class AwsPeer(Process):
    """A process that serves Parameter Store at `endpoint`."""

    name: str
    endpoint: str
    # What programs that look at neither are given.
    credentials = ("AKIAPEER000000000000", "peer")

    def client(self, service, region=REGION, config=None):
        """A boto3 client."""
        return aws_client(service, self.endpoint, *self.credentials, region, config)

    def command_line(self, *arguments):
        """What the `aws` command line prints."""
        key, secret = self.credentials
        done = subprocess.run(
            [Path(sys.executable).with_name("aws"), "--output", "json", *arguments],
            env=clean_environment(
                AWS_ACCESS_KEY_ID=key,
                AWS_SECRET_ACCESS_KEY=secret,
                AWS_ENDPOINT_URL=self.endpoint,
                AWS_DEFAULT_REGION=REGION,
                AWS_EC2_METADATA_DISABLED="true",
            ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def account(self):
        """The account that callers are of."""
        return self.client("sts").get_caller_identity()["Account"]

    def make_key(self):
        """Makes the key that secrets are sealed with, unless it is there."""
        kms = self.client("kms")
        if KMS_ALIAS not in {alias["AliasName"] for alias in kms.list_aliases()["Aliases"]}:
            # The usage is the default, but moto describes only what was said.
            key = kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName=KMS_ALIAS, TargetKeyId=key)


class Emulator(AwsPeer):
    """Both clouds of `repin emulator`, in memory."""

    name = "repin emulator"

    def __init__(self, repin, *more):
        command = [repin, "emulator", "-o", "json", "--account", ACCOUNT, "--kms-key", KMS_ALIAS, *more]
        super().__init__(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment(), text=True)
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"the emulator printed nothing and ended with {self.child.wait()}")
        said = json.loads(line)
        aws, azure = said["aws"], said["azure"]
        self.endpoint, self.azure_endpoint = aws["endpoint_url"], azure["endpoint"]
        self.credentials = aws["access_key_id"], aws["secret_access_key"]
        self.connection_string = azure["connection_string"]

    @property
    def azure_address(self):
        """Host and port of the App Configuration half."""
        return self.azure_endpoint.removeprefix("http://")

    def store(self, name, address=None):
        """The connection string of a store of its own: the id of the access key names the store.

        With an address, for a client that is to go by way of it.
        """
        text = re.sub(r"Id=[^;]*", f"Id={name}", self.connection_string)
        return text.replace(self.azure_address, address) if address else text


class Moto(AwsPeer):
    """A moto server."""

    name = "moto"

    def __init__(self):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        super().__init__(
            [sys.executable, Path(__file__).with_name("serve_moto.py"), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(MOTO_ACCOUNT_ID=ACCOUNT),
        )
        wait_for_http(f"{self.endpoint}/moto-api/", self.child)


class Ministack(AwsPeer):
    """A ministack server."""

    name = "ministack"

    def __init__(self):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        super().__init__(
            [Path(sys.executable).with_name("ministack")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # It would listen to everybody.
            env=clean_environment(GATEWAY_PORT=str(port), BIND_HOST="127.0.0.1"),
        )
        wait_for_http(self.endpoint, self.child)


def run_cargo_test(target, *arguments, **environment):
    """Runs one test target that is ignored where nobody prepared what it needs."""
    # Over the whole workspace: with other features than the tests had, half of it would be built anew.
    command = ["cargo", "test", "--workspace", "--locked", "--test", target, "--", "--ignored", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def run_node(script, given=""):
    """Runs one of our scripts to its end and returns what it printed."""
    command, environment = node_command(script)
    done = subprocess.run(
        command, input=given, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def node_command(script):
    """How one of our scripts is run, which finds its packages in REPIN_JS_MODULES: the command and its environment."""
    node = Path(sys.executable).with_name("node")
    environment = clean_environment(REPIN_JS_MODULES=os.environ["REPIN_JS_MODULES"])
    return [node, Path(__file__).parent / "js" / script], environment


class Script(Process):
    """One of our scripts that goes on running: it answers each line with a line of JSON."""

    def __init__(self, script):
        command, environment = node_command(script)
        super().__init__(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.script = script

    def ask(self, line=""):
        """Says a line and returns what is answered."""
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.script} ended with {self.child.wait()}")
        return json.loads(answer)

    def __exit__(self, *ended):
        super().__exit__(*ended)
        self.child.stdin.close()
        self.child.stdout.close()


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_http(url, child):
    """Waits until a server answers anything at all."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"the server for {url} ended with {child.returncode}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer within {PATIENCE:.0f} s")
