"""A trained run in your own torch program: five lines, no legato loop."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from legato.layers import with_normalization
from legato.networks import registry

folder = sys.argv[1]
task = json.loads(Path(folder, "run.json").read_text())["task"]
known = task["learnt"]
net = registry.build(task["network"], len(known["names"]), known["channels"], known["size"])
net = with_normalization(net, known["mean"], known["sd"])
net.load_state_dict(load_file(f"{folder}/best.safetensors"))
x = torch.rand(1, known["channels"], known["size"], known["size"])  # a picture, pixels in [0, 1]
print(known["names"][net.eval()(x).argmax()])
