"""Real model servers as processes of their own: MLServer and MLflow, each in its own environment.

`python3 run.py model-servers` makes the environments. What a model is trained on is made here, from a seed;
the training runs in the server's environment, since ours has no scikit-learn.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN_SECONDS = 180.0
ROW = {"age": 63.0, "stays": 2.0}

TRAINED = """
import json, pathlib, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
folder = pathlib.Path(sys.argv[1])
draw = np.random.default_rng(7)
inputs = np.column_stack([draw.normal(65, 12, 500), draw.poisson(2, 500)]).astype(float)
chance = 1 / (1 + np.exp(4 - 0.03 * inputs[:, 0] - 0.4 * inputs[:, 1]))
outcome = (draw.random(500) < chance).astype(int)
model = LogisticRegression(max_iter=1000).fit(inputs, outcome)
probability = float(model.predict_proba(np.array([[63.0, 2.0]]))[0][1])
(folder / "expected.json").write_text(json.dumps({"probability": probability}))
"""
FOR_MLSERVER = f"{TRAINED}\nimport joblib\njoblib.dump(model, folder / 'model.joblib')\n"
FOR_MLFLOW = f"""{TRAINED}
import pandas as pd, mlflow
from mlflow.models import infer_signature
frame = pd.DataFrame(inputs, columns=["age", "stays"])
model = LogisticRegression(max_iter=1000).fit(frame, outcome)
for ask in ("predict_proba", "predict"):
    signature = infer_signature(frame, getattr(model, ask)(frame))
    mlflow.sklearn.save_model(
        model, folder / ask, pyfunc_predict_fn=ask, signature=signature, pip_requirements=["scikit-learn"]
    )
"""


def python_of(server: str) -> Path:
    """The Python of a server's environment; skips the test when there is none."""
    python = ROOT / f".venv-{server}" / "bin" / "python"
    if not (python.parent.parent / ".cds-wrapper-installed").exists():
        pytest.skip(f"no {server} here: run `python3 run.py model-servers` first")
    return python


def train(server: str, script: str, folder: Path) -> float:
    """Train and save the model; the probability it gives for `ROW`."""
    environment = {**os.environ, **_QUIET}
    subprocess.run(
        [python_of(server), "-c", script, folder], check=True, env=environment, capture_output=True
    )
    probability: float = json.loads((folder / "expected.json").read_text())["probability"]
    return probability


_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLSERVER_PARALLEL_WORKERS": "0"}


@dataclass
class ModelServer:
    """A server that can be killed and started again on the same port."""

    command: Sequence[object]
    folder: Path
    port: int
    ready: str
    environment: Mapping[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its root."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                cwd=self.folder,
                env={**os.environ, **_QUIET, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_WITHIN_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}{self.ready}", timeout=2).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"it was not ready within {START_WITHIN_SECONDS} s")

    def signal(self, number: int) -> None:
        """Send a signal to it and to all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill -9."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(timeout=20)


@contextlib.contextmanager
def mlserver(folder: Path) -> Iterator[ModelServer]:
    """MLServer with the model `readmit`, version 2, trained and ready."""
    python = python_of("mlserver")
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "readmit",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "2"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [python.parent / "mlserver", "start", "."]
    yield from _running(ModelServer(command, folder, port, "/v2/health/ready", {}))


@contextlib.contextmanager
def mlflow(folder: Path, model: str) -> Iterator[ModelServer]:
    """MLflow's scoring server with a model of a folder, trained and ready."""
    programs = python_of("mlflow").parent
    port = free_port()
    at = ["-h", "127.0.0.1", "-p", port, "--env-manager", "local"]
    command = [programs / "mlflow", "models", "serve", "-m", folder / model, *at]
    # It starts uvicorn by its bare name.
    path = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    yield from _running(ModelServer(command, folder, port, "/ping", path))


def _running(server: ModelServer) -> Iterator[ModelServer]:
    try:
        server.start()
        yield server
    finally:
        server.kill()
