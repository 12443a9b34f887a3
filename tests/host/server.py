"""A real ComfyUI without a browser, with this pack in its own base folder, and a client of its API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import ROOT

PACK = ROOT
PACK_NAME = "comfyui-unianimate"
PACK_PARTS = ("__init__.py", "nodes", "unianimate_core", "workflows", "web", "locales", "models")
START_SECONDS = 600
RUN_SECONDS = 900


@dataclass
class Run:
    """The result of one prompt. error: the exception's message; cached: ids of the nodes that did not run again."""

    outputs: dict[str, Any] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)
    error: str | None = None
    interrupted: bool = False


class PromptRefused(Exception):
    """ComfyUI's validation refused a prompt; the message holds its errors by node."""


class Server:
    def __init__(self, comfyui: Path, base: Path):
        self.base = base
        self.log_path = base / "comfyui.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        install(base)
        command = [sys.executable, "main.py", "--cpu", "--port", str(self.port), "--base-directory", str(base)]
        command += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK_NAME, "--disable-api-nodes"]
        command += ["--database-url", "sqlite:///:memory:", "--preview-method", "latent2rgb"]
        self.log_file = self.log_path.open("w")
        # The tiny network is no faster with more threads, which wait for each other on a busy machine.
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=comfyui, env=environment, stdout=self.log_file, stderr=subprocess.STDOUT
        )
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log_file.close()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return json.load(response)

    def post(self, path: str, content: dict) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None

    def queue(self, graph: dict, client_id: str | None = None) -> str:
        """The id of the queued prompt. Raises PromptRefused if ComfyUI's validation refuses it."""
        content = {"prompt": graph} | ({"client_id": client_id} if client_id else {})
        try:
            return self.post("/prompt", content)["prompt_id"]
        except urllib.error.HTTPError as error:
            raise PromptRefused(error.read().decode()) from error

    def run(self, graph: dict) -> Run:
        """Queue a graph in API format and wait until it ends."""
        return self.wait(self.queue(graph))

    def wait(self, prompt_id: str) -> Run:
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None and entry["status"].get("status_str"):
                return _run(entry)
            time.sleep(0.1)
        raise TimeoutError(f"the prompt did not end in {RUN_SECONDS} s:\n{self.log()[-4000:]}")

    def forget(self) -> None:
        """Drop cached results and loaded models, so that the next run computes everything.

        ComfyUI does it before or after a prompt, whichever comes first, so two prompts make sure of it.
        """
        self.post("/free", {"unload_models": True, "free_memory": True})
        for color in range(2):
            image = {"width": 16, "height": 16, "batch_size": 1, "color": color}
            self.run(
                {
                    "image": {"class_type": "EmptyImage", "inputs": image},
                    "shown": {"class_type": "PreviewImage", "inputs": {"images": ["image", 0]}},
                }
            )

    def watch(self, graph: dict, on_event: Callable[[str, dict], None]) -> Run:
        """Run a graph and pass on the messages to the page: (type, data); images arrive as ("preview", {})."""
        return asyncio.run(self._watch(graph, on_event))

    async def _watch(self, graph: dict, on_event: Callable[[str, dict], None]) -> Run:
        import aiohttp

        client_id = uuid.uuid4().hex
        url = f"ws://127.0.0.1:{self.port}/ws?clientId={client_id}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket_:
            prompt_id = await asyncio.to_thread(self.queue, graph, client_id)
            async for message in socket_:
                if message.type == aiohttp.WSMsgType.BINARY:
                    on_event("preview", {})
                    continue
                event = json.loads(message.data)
                on_event(event["type"], event.get("data", {}))
                if event["type"] in ("execution_success", "execution_error", "execution_interrupted"):
                    break
        return await asyncio.to_thread(self.wait, prompt_id)

    def output(self, run: Run, node_id: str) -> Path:
        """The first file that an output node wrote."""
        files = [item for kind in run.outputs[node_id].values() if isinstance(kind, list) for item in kind]
        file = next(item for item in files if isinstance(item, dict) and "filename" in item)
        return self.base / file["type"] / file["subfolder"] / file["filename"]


def install(base: Path) -> None:
    """Copy the pack into custom_nodes, as a user's clone."""
    target = base / "custom_nodes" / PACK_NAME
    target.mkdir(parents=True)
    for part in PACK_PARTS:
        source = PACK / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target / part)


def _run(entry: dict) -> Run:
    run = Run(outputs=entry["outputs"])
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_cached":
            run.cached = data["nodes"]
        elif kind == "execution_error":
            run.error = data["exception_message"].strip()
        elif kind == "execution_interrupted":
            run.interrupted = True
    return run
