"""PyTorch side of the engine benchmark: one JSON command per line on stdin, one JSON answer per line on stdout.

  {"cmd": "prepare", "network": "resnet20", "batch": 32, "channels_last": false, "threads": 2}
                                -> {"parameters": 272474, "prepare_ms": 41.2, "torch": "2.13.0"}
  {"cmd": "step", "count": 3}   -> {"ms": [50.1, 49.8, 50.3]}
  {"cmd": "memory"}             -> {"peak_rss_mb": 412.5}
  {"cmd": "quit"}               -> ends the process, as does the end of stdin

A step is forward, cross-entropy, backward and SGD with momentum 0.9, in train mode and float32, on one fixed batch.
One process holds one network: start a fresh one for each, so that peak memory is that network's own. A command that
cannot be carried out is answered with {"error": "..."}.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from networks import CLASSES, NETWORKS, create_network


def prepare(network: str, batch: int, channels_last: bool, threads: int) -> tuple[Callable[[], None], int]:
    """The training step and the number of parameters."""
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    size = NETWORKS[network].size
    model = create_network(network).to(memory_format=layout).train()
    images = torch.randn(batch, 3, size, size).to(memory_format=layout)
    labels = torch.randint(CLASSES, (batch,))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

    return step, sum(parameter.numel() for parameter in model.parameters())


def peak_rss_mb() -> float:
    """Peak resident memory of this process alone, in MB (10^6 bytes).

    Linux hands `ru_maxrss` down from the process that started this one, so /proc comes first where it exists.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Peer:
    """The one network that this process trains."""

    def __init__(self) -> None:
        self.step: Callable[[], None] | None = None

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        match command:
            case {
                "cmd": "prepare",
                "network": str(network),
                "batch": int(batch),
                "channels_last": bool(channels_last),
                "threads": int(threads),
            } if network in NETWORKS and self.step is None:
                start = time.perf_counter()
                self.step, parameters = prepare(network, batch, channels_last, threads)
                elapsed = (time.perf_counter() - start) * 1e3
                return {"parameters": parameters, "prepare_ms": elapsed, "torch": torch.__version__}
            case {"cmd": "step", "count": int(count)} if self.step is not None:
                times = []
                for _ in range(count):
                    start = time.perf_counter()
                    self.step()
                    times.append((time.perf_counter() - start) * 1e3)
                return {"ms": times}
            case {"cmd": "memory"}:
                return {"peak_rss_mb": peak_rss_mb()}
            case _:
                return {"error": f"command: must be prepare (once), step (after it), memory or quit, got {command}"}


def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        try:
            command = json.loads(line)
            if command == {"cmd": "quit"}:
                return
            reply = peer.answer(command)
        except (ValueError, RuntimeError) as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
