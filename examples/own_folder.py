"""A folder with a subfolder a class: train on it, measure, answer, and see what went wrong."""

import sys

import legato
from legato.progress import choose

run = legato.train(sys.argv[1], show=choose())  # task, network, variations and recipe are chosen by the data
print(run.evaluate("valid"))
print(run.predict(*sys.argv[2:]))
print("what went wrong, and how it learnt:", run.run.folder / "report.html")
