"""What is in a set of texts, before anybody trains on it: how many, how long, how even, what stands in it twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from legato.data import captions, conllu, sentences, text_files, text_pairs
from legato.data.survey import extent
from legato.data.vocabulary import WORDS
from legato.task import Split


class Texts(NamedTuple):
    """A set as read: the sentences of each split (of running text its lines), and how often each name is in train."""

    task: str
    format: str
    policy: str
    splits: dict[Split, list[str]]
    names: dict[str, int]


@dataclass(frozen=True)
class TextSurvey:
    """The card of a set of texts. Words are counted in lower case, punctuation as words of its own."""

    path: str
    task: str
    format: str
    policy: str
    counts: dict[str, int]
    """Sentences of each split; of running text its lines that say something."""
    names: dict[str, int]
    """Classes or tags, and how often train has each."""
    characters: int
    """Different ones, in train."""
    words: int
    """In train."""
    vocabulary: int
    """Different words in train."""
    lengths: tuple[int, int, int]
    """Words of a sentence in train: fewest, median, most."""
    unseen: dict[str, float]
    """Of the words of the other splits, the share that train does not have."""
    repeated: int
    """Sentences of train that stand there before."""
    leaks: dict[str, int]
    """Sentences of the other splits that stand in train as well."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        what = "lines" if self.task == "language" else "sentences"
        counts = ", ".join(f"{count:,} {split}" for split, count in self.counts.items())
        common = Counter(self.names).most_common(20)
        names = ", ".join(f"{name} {count:,}" for name, count in common)
        more = f", and {len(self.names) - 20} more" if len(self.names) > 20 else ""
        lines = [
            f"{self.path}: {self.format}, for {self.task}; {what}: {counts}",
            self.policy,
            *(
                [f"{len(self.names)} {'tags' if self.task == 'tag' else 'classes'} in train: {names}{more}"]
                if names
                else []
            ),
            f"{self.words:,} words in train, {self.vocabulary:,} different, of {self.characters:,} characters; "
            f"{extent(self.lengths)} words in {'a line' if what == 'lines' else 'a sentence'}",
            "words that train does not have: " + (shares(self.unseen) or "no other split"),
            f"{what} that are in train before: {self.repeated or 'none'}",
            *(f"{what} of {split} that are in train: {count:,}" for split, count in self.leaks.items() if count),
        ]
        return "\n".join(lines)


def shares(unseen: dict[str, float]) -> str:
    return ", ".join(f"{share:.1%} of {split}" for split, share in unseen.items())


def recognises(path: str | Path) -> bool:
    """Whether there are texts, in any of the forms that a task of texts reads unasked."""
    path = Path(path)
    if path.is_dir() and ((path / text_files.INPUT).is_file() or text_files.only_text(path)):
        return True
    alone = path.is_file() and path.suffix.lower() == ".txt"
    return alone or any(form.recognises(path) for form in (captions, text_pairs, conllu, sentences))


def survey(path: str | Path) -> TextSurvey:
    """Read the set and count. Raises DataError where it cannot be read."""
    found = read(Path(path))
    said = {split: [WORDS.findall(text.lower()) for text in texts] for split, texts in found.splits.items()}
    train, lengths = found.splits["train"], [len(words) for words in said["train"]]
    known, there = {word for words in said["train"] for word in words}, set(train)
    others: list[Split] = [split for split in ("valid", "test") if found.splits[split]]
    return TextSurvey(
        path=str(path),
        task=found.task,
        format=found.format,
        policy=found.policy,
        counts={split: len(texts) for split, texts in found.splits.items()},
        names=found.names,
        characters=len(set().union(*train)),
        words=sum(lengths),
        vocabulary=len(known),
        lengths=(min(lengths), median_low(lengths), max(lengths)),
        unseen={split: unseen(said[split], known) for split in others},
        repeated=len(train) - len(there),
        leaks={split: sum(text in there for text in found.splits[split]) for split in others},
    )


def unseen(said: Sequence[Sequence[str]], known: set[str]) -> float:
    words = [word for sentence in said for word in sentence]
    return sum(word not in known for word in words) / max(1, len(words))


def read(path: Path) -> Texts:
    """In the order in which the tasks are asked."""
    if captions.recognises(path):
        told = captions.read(path)
        texts = {split: [line for _, lines in pictures for line in lines] for split, pictures in told.splits.items()}
        pictures = sum(map(len, told.splits.values()))
        return Texts("caption", f"captions of {pictures:,} pictures", told.policy, texts, {})
    if text_pairs.recognises(path):
        there = sorted({language for _, language in text_pairs.parallel_files(path)})
        more = f" (and {', '.join(there[2:])}: --source, --target)" if len(there) > 2 else ""
        pairs = text_pairs.read(path, *(there[:2] if more else ()))
        format = f"{pairs.format}, {' to '.join(pairs.languages)}{more}"
        return Texts("translate", format, pairs.policy, {s: [a for a, _ in p] for s, p in pairs.splits.items()}, {})
    if conllu.recognises(path):
        tagged = conllu.read(path)
        tags = Counter(tag for _, tags in tagged.splits["train"] for tag in tags)
        texts = {s: [" ".join(words) for words, _ in part] for s, part in tagged.splits.items()}
        return Texts("tag", tagged.format, tagged.policy, texts, dict(tags))
    if sentences.recognises(path):
        found = sentences.read(path)
        classes = Counter(found.names[k] for _, k in found.splits["train"])
        texts = {s: [text for text, _ in part] for s, part in found.splits.items()}
        return Texts("classify_text", found.format, found.policy, texts, dict(classes))
    corpus = text_files.read(path)
    said = {s: [line for line in text.split("\n") if line.strip()] for s, text in corpus.splits.items()}
    return Texts("language", corpus.format, corpus.policy, said, {})
