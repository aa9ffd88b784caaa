#!/usr/bin/env python3
"""What a command line of a runbook calls beside repin, on the loopback stage: it is called by the name of what it stands
in for.

    systemctl   runs the daemon of a host as repin.service does: the same file, settings, credentials and signals
    dpkg        says what dpkg says, and starts a running service again, as the package does
    kubectl     `exec` runs the command here, as the container has it
    aws         sends one request to the emulated cloud, signed; AWS's own program takes its place where STAGE_AWS names it
    usermod     does nothing: on this stage whoever plays may open the socket
"""

import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HOST = Path(os.environ["STAGE_HOST"])
REPIN = os.environ["STAGE_REPIN"]
CREDENTIALS = HOST / "etc/repin/credentials"
PATIENCE = 60


def usage(text):
    """Ends: the page calls for something that nothing stands in for."""
    sys.exit(f"{Path(sys.argv[0]).name}, a stand-in: no {text}")


# --- systemctl --------------------------------------------------------------------------------------------------------


def systemctl(*arguments):
    words = [word for word in arguments if not word.startswith("-")]
    verb, units = words[0], [unit.removesuffix(".service") for unit in words[1:]]
    if units != ["repin"]:
        usage(f"unit {units}")
    if verb == "enable":
        wanted = "/etc/systemd/system/multi-user.target.wants/repin.service"
        print(f"Created symlink {wanted} → /lib/systemd/system/repin.service.")
    if verb == "start" or "--now" in arguments:
        start()
    elif verb == "stop":
        stop()
    elif verb == "restart":
        stop()
        start()
    elif verb == "reload":
        os.kill(running() or usage("daemon to reload"), signal.SIGHUP)
    elif verb == "is-active":
        print("active" if running() else "inactive")
        sys.exit(0 if running() else 3)
    elif verb not in ("start", "enable"):
        usage(f"verb {verb}")


def running():
    """Returns the process of the daemon, if there is one."""
    try:
        pid = int((HOST / "pid").read_text(encoding="utf-8"))
        # A process that ended and that nobody waited for is no longer at work.
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else pid


def start():
    if running():
        return
    # What LoadCredential does: the service finds each of them under another name.
    for path in CREDENTIALS.iterdir():
        if not path.name.startswith("secret_"):
            shutil.copy(path, CREDENTIALS / f"secret_{path.name}")
    environment = os.environ | {"REPIN_FILE": str(HOST / "etc/repin/repin.yaml"), "REPIN_STATE_DIR": str(HOST / "state")}
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": str(HOST / "aws")}
    environment |= dict(re.findall(r"^(\w+)=(.*)$", (HOST / "etc/default/repin").read_text(encoding="utf-8"), re.M))
    options = environment.pop("REPIN_DAEMON_OPTIONS", "").split()
    notify = HOST / "notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, (HOST / "log").open("a") as log:
        ready.bind(str(notify))
        ready.settimeout(0.2)
        process = subprocess.Popen(
            [REPIN, "daemon", "--interval", "1s", *options],
            env=environment | {"NOTIFY_SOCKET": str(notify)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        (HOST / "pid").write_text(str(process.pid), encoding="utf-8")
        end, said = time.monotonic() + PATIENCE, ""
        while "READY=1" not in said:
            try:
                said += ready.recv(4096).decode()
            except TimeoutError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit("Job for repin.service failed because the control process exited with error code.")


def stop():
    pid = running()
    if not pid:
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while running():
        if time.monotonic() > end:
            sys.exit("repin.service: State 'stop-sigterm' timed out.")
        time.sleep(0.02)


# --- dpkg, usermod, kubectl -------------------------------------------------------------------------------------------


def dpkg(*arguments):
    if len(arguments) != 2 or arguments[0] not in ("-i", "--install"):
        usage(f"dpkg {arguments}")
    name, version, _ = Path(arguments[1]).name.split("_")
    installed = HOST / "installed"
    if installed.exists():
        old = installed.read_text(encoding="utf-8")
        print(f"Preparing to unpack {arguments[1]} ...\nUnpacking {name} ({version}) over ({old}) ...")
    else:
        print(f"Selecting previously unselected package {name}.\nUnpacking {name} ({version}) ...")
    installed.write_text(version, encoding="utf-8")
    print(f"Setting up {name} ({version}) ...", flush=True)
    if running():
        stop()
        start()


def usermod(*arguments):
    if list(arguments[:2]) != ["-aG", "repin"] or len(arguments) != 3:
        usage(f"usermod {arguments}")


def kubectl(*arguments):
    if re.fullmatch(r"-n repin exec deploy/[a-z-]+ --", " ".join(arguments[:5])) is None:
        usage(f"kubectl {arguments}")
    command = arguments[5:]
    if not command or command[0] != "/usr/bin/repin":
        usage(f"program in the image: {command}")
    os.execv(REPIN, ["repin", *command[1:]])


# --- aws --------------------------------------------------------------------------------------------------------------

TARGETS = {"kms": "TrentService", "ssm": "AmazonSSM"}


def aws(*arguments):
    clouds = json.loads(Path(os.environ["STAGE_CLOUDS"]).read_text(encoding="utf-8"))
    words = list(arguments)
    region = words.pop(words.index("--region") + 1) if "--region" in words else "eu-west-1"
    if "--region" in words:
        words.remove("--region")
    keys, url = clouds["keys"], clouds["regions"][region]
    if program := os.environ.get("STAGE_AWS"):
        os.environ.update({"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "AWS_REGION": region})
        os.environ.update({"AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""})
        os.execv(program, ["aws", "--endpoint-url", url, *words])
    service, operation, options = words[0], words[1], {}
    for word in words[2:]:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            list(options.values())[-1].append(word)
    query, form = options.pop("query", [""])[0], options.pop("output", ["json"])[0]
    body = {camel(name): member(name, values) for name, values in options.items()}
    answer = send(url, region, keys, service, camel(operation), body)
    for name in filter(None, query.split(".")):
        answer = answer[name]
    print(answer if form == "text" else json.dumps(answer, indent=4)) if answer else None


def camel(name):
    """Returns the name that the wire has for one of the command line."""
    return "".join(part.capitalize() for part in name.split("-"))


def member(name, values):
    """Returns what a member of a request holds."""
    if not values:
        return True
    if values[0].startswith("file://"):
        return Path(values[0].removeprefix("file://")).read_text(encoding="utf-8")
    return values if name in ("names", "labels") else values[0]


def send(url, region, keys, service, operation, body):
    """Sends one request, signed by version 4 of AWS's scheme."""
    text, host = json.dumps(body).encode(), url.removeprefix("http://")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": now}
    headers["x-amz-target"] = f"{TARGETS[service]}.{operation}"
    signed = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{listed}\n{signed}\n{hashlib.sha256(text).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys[1]}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
    try:
        with urllib.request.urlopen(urllib.request.Request(url, text, headers), timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())
        kind, message = said["__type"].split("#")[-1], said.get("message") or said.get("Message")
        sys.exit(f"\nAn error occurred ({kind}) when calling the {operation} operation: {message}")


if __name__ == "__main__":
    {"systemctl": systemctl, "dpkg": dpkg, "usermod": usermod, "kubectl": kubectl, "aws": aws}[Path(sys.argv[0]).name](
        *sys.argv[1:]
    )
