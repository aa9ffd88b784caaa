"""Both clouds inside a machine, as a service of it, and the file that is kept there."""

import json

import yaml

AWS, AZURE = "127.0.0.1:4566", "127.0.0.1:8483"
SECRET = "a secret that only the service may read"

UNIT = f"""\
[Unit]
Description=Both clouds
[Service]
ExecStart=/usr/bin/repin emulator -o json --dir /var/lib/clouds --aws {AWS} --azure {AZURE} --kms-key alias/ai-config
StandardOutput=file:/run/clouds.json
"""


class Clouds:
    """Both clouds, and what the service needs to reach them."""

    def __init__(self, machine, unit=UNIT):
        self.machine, self.unit = machine, unit

    def start(self):
        """Starts them and lays down the credentials."""
        machine = self.machine
        machine.write("/etc/systemd/system/clouds.service", self.unit)
        machine.run("systemctl", "daemon-reload").expect()
        machine.run("systemctl", "start", "clouds").expect()
        told = machine.until("both clouds are up", self.told)
        aws, azure = told["aws"], told["azure"]
        for folder in ("credentials", "credentials-one", "credentials-two"):
            machine.run("install", "-d", "-m", "0700", f"/etc/repin/{folder}").expect()
            self.credential(folder, "aws", aws_file(aws["access_key_id"], aws["secret_access_key"]))
            self.credential(folder, "azure", azure["connection_string"])
            self.credential(folder, "api-key", SECRET)

    def settings(self):
        """Writes the settings of the services."""
        lines = ["REPIN_DAEMON_OPTIONS=--interval 2s", f"AWS_SHARED_CREDENTIALS_FILE={credential('aws')}"]
        self.machine.write("/etc/default/repin", "\n".join(lines) + "\n")

    def told(self):
        """Returns what the clouds say how they are reached; nothing before they do."""
        try:
            return json.loads(self.machine.run("cat", "/run/clouds.json").stdout)
        except json.JSONDecodeError:
            return None

    def credential(self, folder, name, text):
        """Lays down one credential, as an operator does."""
        self.machine.write(f"/etc/repin/{folder}/{name}", text, mode=0o600)


def aws_file(key_id, secret):
    """Returns a credentials file of AWS."""
    return f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"


def credential(name):
    """Returns where a service finds a credential; root finds it as /run/credentials/UNIT/secret_NAME while it runs."""
    return f"/etc/repin/credentials/secret_{name}"


def desired(value, name="deploy", **entries):
    """Returns a file with a plain entry on both clouds and a secret on AWS."""
    aws = {"provider": "aws-ssm", "account": "000000000000", "region": "eu-west-1", "kms_key": "alias/ai-config"}
    azure = {"provider": "azure-app-configuration", "endpoint": f"http://{AZURE}", "label": "prod"}
    return yaml.safe_dump(
        {
            "version": 1,
            "name": name,
            "targets": {
                "aws": aws | {"prefix": f"/{name}", "endpoint_url": f"http://{AWS}"},
                "azure": azure | {"prefix": name, "connection_string": {"file": credential("azure")}},
            },
            "entries": {
                "chat/model": {"value": value},
                "chat/api-key": {
                    "targets": ["aws"],
                    "secret": True,
                    "value_from": {"file": credential("api-key")},
                },
                **entries,
            },
        }
    )
