"""Model cards: the README of a model folder, written from its card and an evaluation.

Figures in a card are those the evaluation just measured; nothing is typed by
hand. The same figures go into ``model.json`` under ``metrics``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from audio_model.heads import SOURCE
from data_prep.model_folder import Kind, ModelCard, folder_hash, read_card, write_card

README_NAME: Final = "README.md"

_PURPOSE: Final = {
    "lyrics": (
        "Reads Korean and English words - song lyrics, or a sentence about a mood - and answers "
        "with six emotions (joy, tension, calm, sadness, anger, neutral). A RoBERTa encoder "
        "beside hashed character n-grams, int8 ONNX; what it started from stands below."
    ),
    "audio": (
        "Hears a recording (16 kHz, 48-band log-mel and 64 semitones) and answers with six "
        "emotions (joy, tension, calm, sadness, anger, neutral). Five small networks in one "
        "ONNX file, each trained without one fold of the data, so that every figure below is out "
        "of fold; beside them, where it is listed below, a published tagger that hears the "
        "recording as a whole (`embedding.onnx`)."
    ),
}
_TEMPERATURE: Final = {
    "lyrics": "the network's own answers; `maeum train fusion` fits one on validation texts",
    "audio": "fitted on the out-of-fold answers to the training recordings",
}
_GATE: Final = (
    ". A native head's weight is multiplied by the share that the head `source` gives its data set"
)
_LIMITS: Final = {
    "lyrics": (
        "It learned from film reviews, online comments and poems, not from song lyrics, for which "
        "no open labelled set exists. It does not know irony, stories told by a character, or "
        "other languages (those are refused). Emotions are guesses about words, no diagnosis of "
        "a person; do not use it to judge anybody."
    ),
    "audio": (
        "It learned from sung phrases of actors, 320 recordings of four Western genres, and piano "
        "pieces rendered from MIDI: music unlike these is read with less certainty. Emotion labels "
        "of music differ between listeners. Its training data allow non-commercial use only, and "
        "so do the weights."
    ),
}


def write_model_card(folder: Path, kind: Kind, results: dict[str, Any], tables: str) -> None:
    """Put an evaluation into a model folder: ``metrics`` of the card, and its README.

    Parameters
    ----------
    folder
        Model folder; its network, labels and features stay as they are.
    kind
        Which branch.
    results
        What the evaluation returned; the model's own figures go into ``metrics``
        under ``evaluation``.
    tables
        The Markdown it wrote.

    Raises
    ------
    ModelFolderError
        If the folder is not a model folder of that branch.
    """
    card = read_card(folder, kind)
    figures = {
        test["name"]: {
            name: values
            for name, values in test["models"].items()
            if name.startswith(results["model"])
        }
        for test in results["tests"]
    }
    card = replace(card, metrics={**card.metrics, "evaluation": figures})
    write_card(folder, card)
    (folder / README_NAME).write_text(_readme(folder, card, tables), encoding="utf-8")


def _readme(folder: Path, card: ModelCard, tables: str) -> str:
    rows = "\n".join(
        f"| {data.name} | {data.rows:,} | {data.use} | {data.licence} |"
        for data in card.training_data
    )
    weights = {head: weight for head, weight in card.head_weights.items() if weight}
    listed = ", ".join(f"{head} {weight:.3g}" for head, weight in weights.items())
    gate = _GATE if SOURCE in card.head_weights else ""
    # The evaluation's title becomes a section, and its sections go one deeper.
    measured = re.sub(r"^#", "##", tables.strip(), flags=re.MULTILINE)
    return f"""# {card.name}

{_PURPOSE[card.kind]}

- Folder hash `{folder_hash(folder)}`, taxonomy {card.taxonomy_version}, made at `{card.commit}`.
- Heads and their weight in the served six: {listed}{gate}.
- Temperature {card.temperature:.3f}: {_TEMPERATURE[card.kind]}.

## Training data

| data | rows | used for | licence |
|---|---|---|---|
{rows}

## Limits

{_LIMITS[card.kind]}

{measured}
"""
