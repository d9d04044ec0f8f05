"""legato sample: text on the terminal, as it is written."""

import json
from dataclasses import replace

import pytest

from legato import cli
from legato.cli import sample
from legato.device import Device
from legato.errors import UsageError
from legato.run import Run
from legato.tasks.language import Language
from legato.training import fit
from tests.toy import Toy

CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    (folder / "a.txt").write_text("abc " * 60)
    task = Language(str(folder / "a.txt"), width=16, depth=1, window=8).adapt()
    recipe = replace(task.recipe(), epochs=8, batch_size=4, lr=3e-2, workers=0)
    run = Run.begin(folder / "run", task, recipe, CPU)
    fit(task, recipe, run, CPU)
    return str(run.folder)


def test_the_text_follows_its_prompt(run, capsys):
    sample.main([run, "--prompt", "abc ab", "--length", "6", "--temperature", "0", "--device", "cpu"])
    assert capsys.readouterr().out == "abc abc abc \n"


def test_a_seed_is_a_text_and_json_is_one_object(run, capsys):
    written = []
    for seed in ("1", "1"):
        sample.main([run, "--length", "20", "--temperature", "3", "--seed", seed, "--json", "--device", "cpu"])
        written.append(json.loads(capsys.readouterr().out)["text"])
    assert written[0] == written[1]
    assert len(written[0]) == 20


@pytest.mark.parametrize("more", [[], ["--top-k", "3"]])
def test_texts_written_together_are_those_of_the_seeds_alone(run, capsys, more):
    told = [run, "--length", "37", "--temperature", "2", "--json", "--device", "cpu", *more]
    sample.main([*told, "--seed", "5", "--count", "3"])
    together = json.loads(capsys.readouterr().out)["texts"]
    alone = []
    for seed in ("5", "6", "7"):
        sample.main([*told, "--seed", seed])
        alone.append(json.loads(capsys.readouterr().out)["text"])
    assert together == alone
    assert len({*together}) == 3
    with pytest.raises(UsageError, match="--count 0"):
        sample.main([run, "--count", "0"])


def test_a_wrong_choice_or_run_is_one_line(run, tmp_path):
    with pytest.raises(UsageError, match="--top-p 2"):
        sample.main([run, "--top-p", "2"])
    with pytest.raises(UsageError, match="did you mean --temperature"):
        sample.main([run, "--temprature", "2"])
    task = Toy()
    other = Run.begin(tmp_path / "toy", task, task.recipe(), CPU)
    other.keep_best(task.build().state_dict())
    with pytest.raises(UsageError, match="is a toy, which does not write"):
        sample.main([str(other.folder)])


def test_a_sentence_longer_than_any_file_name_is_a_sentence(run, tmp_path, capsys):
    sentence = "abc " * 200
    assert cli.main(["predict", run, sentence, "--save", str(tmp_path), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith(sentence)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif("sample" not in cli.VERBS, reason="the verb is not in the dispatcher yet")
def test_the_verb_is_there(run, capsys):
    assert cli.main(["sample", run, "--length", "3", "--device", "cpu"]) == 0


def test_a_prompt_that_is_refused_is_not_written(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("abc " * 60)
    task = Language(str(tmp_path / "a.txt"), width=4, depth=1, window=8, unseen="refuse").adapt()
    recipe = replace(task.recipe(), epochs=1, batch_size=4, workers=0)
    fit(task, recipe, Run.begin(tmp_path / "run", task, recipe, CPU), CPU)
    assert cli.main(["sample", str(tmp_path / "run"), "--prompt", "ab Ω", "--device", "cpu"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("legato: 'Ω' (U+03A9) is not in the training text")
