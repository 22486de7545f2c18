"""Writes the benchmark networks as ONNX: python peers/export_bench.py FOLDER"""

import sys
from pathlib import Path

from export import export_onnx
from networks import NETWORKS, create_network

if len(sys.argv) != 2:
    sys.exit("usage: python peers/export_bench.py FOLDER")
for name, network in NETWORKS.items():
    path = Path(sys.argv[1]) / f"{name}.onnx"
    export_onnx(create_network(name), network.size, path)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
