"""A desired-state file, the program, and clients of other makers for the stores it writes to."""

import json
import subprocess

from azure.appconfiguration import AzureAppConfigurationClient

from peers import KMS_ALIAS, REGION, Process, clean_environment

PREFIX = "/ai/interop"
KEY_PREFIX = "interop"
LABEL = "prod"
SECRET = "a secret of the interop tests"


class Ran:
    """What a command did."""

    def __init__(self, done):
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        """The JSON object that was printed."""
        return json.loads(self.stdout)

    def expect(self, code):
        """Asserts the exit code."""
        assert self.code == code, f"exit {self.code}\nstdout:\n{self.stdout}\nstderr:\n{self.stderr}"
        return self


class World:
    """One owner with a target on each cloud, or on AWS alone; there another program may be in the emulator's place.

    `serve` says how readers meet a target, where it is not the default.
    """

    def __init__(
        self, repin, emulator, folder, name="interop", aws=None, prefix=PREFIX, clouds=("aws-eu", "azure"), serve=None
    ):
        self.repin, self.emulator, self.folder, self.name = repin, emulator, folder, name
        self.aws, self.prefix, self.clouds, self.serve = aws or emulator, prefix, clouds, serve or {}
        self.ssm = self.aws.client("ssm")
        self.azure = AzureAppConfigurationClient.from_connection_string(emulator.connection_string, retry_total=0)

    def entries(self, entries, more_targets=None):
        """Writes the file; `more_targets` are like the one named azure, but for the members given."""
        azure = {
            "provider": "azure-app-configuration",
            "endpoint": self.emulator.azure_endpoint,
            "prefix": KEY_PREFIX,
            "label": LABEL,
            "connection_string": {"env": "AZURE_CONNECTION"},
        }
        aws = {
            "provider": "aws-ssm",
            "account": self.aws.account,
            "region": REGION,
            "prefix": self.prefix,
            "kms_key": KMS_ALIAS,
            "endpoint_url": self.aws.endpoint,
        }
        more = {name: azure | members for name, members in (more_targets or {}).items()}
        targets = {name: {"aws-eu": aws, "azure": azure}[name] for name in self.clouds} | more
        for name, form in self.serve.items():
            targets[name]["serve"] = form
        wanted = {"version": 1, "name": self.name, "targets": targets, "entries": entries}
        self.file.write_text(json.dumps(wanted, indent=2), encoding="utf-8")

    @property
    def file(self):
        """The desired-state file."""
        return self.folder / "repin.json"

    def run(self, *arguments, host="state", secret=SECRET):
        """Runs the program; hosts remember in a folder of their own."""
        command, environment = self.command(*arguments, host=host, secret=secret)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return Ran(done)

    def daemon(self, *arguments):
        """A running daemon; what it says is kept in `daemon.log`."""
        command, environment = self.command("daemon", *arguments)
        with self.log.open("w", encoding="utf-8") as log:
            return Process(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    @property
    def log(self):
        """What the daemon said."""
        return self.folder / "daemon.log"

    def command(self, *arguments, host="state", secret=SECRET):
        """How the program is run: the command and its environment."""
        access_key, access_secret = self.aws.credentials
        environment = clean_environment(
            AWS_ACCESS_KEY_ID=access_key,
            AWS_SECRET_ACCESS_KEY=access_secret,
            AWS_EC2_METADATA_DISABLED="true",
            AZURE_CONNECTION=self.emulator.connection_string,
            INTEROP_SECRET=secret,
        )
        command = [self.repin, *arguments, "-o", "json", "-f", self.file, "--state-dir", self.folder / host]
        return command, environment

    def parameter(self, key, **more):
        """Reads a parameter by its whole name, as services do."""
        return self.ssm.get_parameter(Name=f"{self.prefix}/{key}", **more)["Parameter"]

    def setting(self, key):
        """Reads a key-value."""
        return self.azure.get_configuration_setting(key=f"{KEY_PREFIX}/{key}", label=LABEL)


def steps(answer, target):
    """The steps of one target."""
    return [step for step in answer["steps"] if step["target"] == target]
