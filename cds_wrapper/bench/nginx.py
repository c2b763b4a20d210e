"""nginx as a reverse proxy in front of the vendor: what forwarding costs outside of Python."""

from __future__ import annotations

import shutil
from pathlib import Path

_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 128k;
    keepalive_requests 1000000;
    upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 128; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://vendor;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def nginx_program() -> str | None:
    """Where nginx is, or None; it often lies where only administrators look."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_command(program: str, folder: Path, port: int, vendor: int) -> list[str]:
    """Write a configuration of its own into `folder`; the command that serves it in the foreground."""
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, vendor=vendor), encoding="utf-8")
    return [program, "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
