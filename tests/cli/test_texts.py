"""What the command line says of networks that read: sentences, files of them, folders of texts."""

import json
from dataclasses import replace

import pytest

from legato import cli
from legato.cli.predict import Names
from legato.cli.train import what_next
from legato.device import Device
from legato.run import Run
from legato.tasks.classify_text import ClassifyText
from legato.tasks.language import Language
from legato.tasks.tag import Tag
from legato.training import fit

CPU = Device("cpu", "fp32", 1)


def trained(task, folder):
    recipe = replace(task.recipe(), epochs=1, batch_size=8, workers=0)
    run = Run.begin(folder, task, recipe, CPU)
    fit(task, recipe, run, CPU)
    return run


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    (folder / "a.jsonl").write_text('{"words": ["a", "dog"], "tags": ["D", "N"]}\n' * 20)
    return trained(Tag(str(folder / "a.jsonl"), width=4, embed=4, spelling="none").adapt(), folder / "run")


@pytest.fixture(scope="module")
def critic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("critic")
    (folder / "a.csv").write_text("text,label\n" + "".join(f"good {i},yes\nbad {i},no\n" for i in range(20)))
    return trained(ClassifyText(str(folder / "a.csv"), width=2, embed=4, fold="all").adapt(), folder / "run")


def asked(run, *args, capsys):
    code = cli.main(["predict", str(run.folder), *args, "--json", "--device", "cpu"])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


def test_a_tagger_answers_each_line_of_a_file(tagger, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("a dog\n\nthe big dog\n")
    code, answers, _ = asked(tagger, str(tmp_path / "in.txt"), "one", capsys=capsys)
    assert code == 0
    assert [(a["sentence"], len(a["tags"])) for a in answers] == [("a dog", 2), ("the big dog", 3), ("one", 1)]
    (tmp_path / "in.txt").write_bytes(b"a dog\n\xff\n")
    code, answers, told = asked(tagger, str(tmp_path / "in.txt"), "one", capsys=capsys)
    assert (code, [a["sentence"] for a in answers]) == (3, ["one"])
    assert "in.txt: not UTF-8 at byte 6" in told
    assert "1 file could not be read; the others are answered above" in told


def test_a_folder_is_its_texts(critic, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("good\nfilm\n")
    code, answers, _ = asked(critic, str(tmp_path), capsys=capsys)
    assert (code, [a["file"] for a in answers]) == (0, [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")])
    code, _, told = asked(critic, str(tmp_path / "empty"), capsys=capsys)
    assert code == 2
    assert "no .txt files in this folder" in told


def test_a_name_of_no_file_is_no_sentence(critic, capsys):
    code, answers, told = asked(critic, "nosuch.txt", "a film.", capsys=capsys)
    assert code == 3
    assert [a["sentence"] for a in answers] == ["a film."]
    assert "nosuch.txt: not found" in told
    assert "1 of 2 inputs could not be read; the others are answered above" in told


def test_answers_to_sentences_get_names_that_are_files():
    names = Names()
    assert names.of("Dr. No / is a film.") == "Dr_No_is_a_film"
    assert names.of("Dr No is a film") == "answer-Dr_No_is_a_film"
    assert names.of("?!") == "answer"


def test_what_to_do_next_is_what_can_be_done(tagger, critic, tmp_path):
    (tmp_path / "a.txt").write_text("abc " * 60)
    task = Language(str(tmp_path / "a.txt"), width=4, depth=1, window=8).adapt()
    writer = Run.begin(tmp_path / "run", task, task.recipe(), CPU)
    assert what_next(writer) == f"`legato evaluate {writer.folder} --split valid`, `legato sample {writer.folder}`"
    assert what_next(critic).startswith(f"`legato evaluate {critic.folder} --split train`")
    assert what_next(tagger) == f'`legato evaluate {tagger.folder}`, `legato predict {tagger.folder} "a sentence"`'


def test_a_missing_split_names_those_there_are(critic, capsys):
    assert cli.main(["evaluate", str(critic.folder), "--device", "cpu"]) == 3
    assert capsys.readouterr().err.endswith("no test split; --split names another: train\n")


def test_a_network_that_reads_is_described_by_its_parts(tagger, capsys):
    assert cli.main(["describe", str(tagger.folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    net = tagger.network()
    assert found["params"] == sum(p.numel() for p in net.parameters()) == sum(row["params"] for row in found["parts"])
    assert cli.main(["describe", str(tagger.folder)]) == 0
    assert f"{found['params']:,} parameters" in capsys.readouterr().out
