"""The table of the lyric ablation: means over seeds, paired differences, and what they say.

Intervals are Student's, 95%, over the seeds. A difference is taken seed by seed
between a row and the base, which shared the seed. Where its interval holds zero,
no difference can be shown; nothing is corrected for the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from lyrics_model.ablation_rows import (
    BASE,
    GROUPS,
    LINEAR_ALL,
    LINEAR_LIMITED,
    TESTS,
    VARIANTS,
    Variant,
)
from lyrics_model.token_file import write_json
from lyrics_model.tuning_figures import interval_of_mean

JSON: Final = "lyric_ablation.json"
MARKDOWN: Final = "lyric_ablation.md"
CONSTANT: Final = "constant (most frequent emotion)"
STAGES_READ: Final = {
    "colloquial": "film reviews of NSMC",
    "emotion": "training texts of KOTE and GoEmotions (ko), without their labels",
    "lyrics": "training poems of KPoEM, the nearest thing to lyrics that may be used freely",
}

Verdict = Literal["higher", "lower", "none"]


def write_report(
    out: Path, description: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write ``lyric_ablation.json`` and ``lyric_ablation.md``.

    Parameters
    ----------
    description
        Settings, sizes and the constant's figures.
    records
        Of all runs: ``kind``, ``row``, ``seed``, ``seconds`` and ``figures``.

    Returns
    -------
    The content of ``lyric_ablation.json``.
    """
    results = dict(description) | summarise(records, description["constant"])
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / JSON, results)
    (out / MARKDOWN).write_text(as_markdown(results), encoding="utf-8")
    return results


def summarise(
    records: Sequence[Mapping[str, Any]], constant: Mapping[str, float]
) -> dict[str, Any]:
    """Rows, sentences, perplexities and every single run's figures."""
    scores: dict[str, dict[int, Mapping[str, float]]] = {}
    for record in records:
        if record["kind"] != "pretraining":
            own = scores.setdefault(record["row"], {})
            own[record["seed"]] = record["figures"]["macro_f1"]
    base = scores[BASE.name]
    rows: dict[str, Any] = {
        CONSTANT: {test: {"mean": constant[test], "seeds": 1} for test in TESTS},
    }
    for name, of_seed in scores.items():
        paired = name not in (BASE.name, LINEAR_ALL)
        rows[name] = {
            test: summary_of(
                [figures[test] for figures in of_seed.values()],
                [base[seed][test] for seed in of_seed] if paired else None,
            )
            for test in TESTS
        }
    return {
        "rows": rows,
        "sentences": {group: group_sentences(group, rows) for group in GROUPS}
        | {"linear": linear_sentence(rows)},
        "perplexity": _perplexities(records),
        "minutes": sum(record["seconds"] for record in records) / 60.0,
        "runs": [
            {"row": r["row"], "seed": r["seed"], "kind": r["kind"], "seconds": r["seconds"]}
            | dict(r["figures"])
            for r in records
        ],
    }


def summary_of(values: Sequence[float], base: Sequence[float] | None) -> dict[str, Any]:
    """Mean and interval of one row's values, and of their differences from the base's.

    Parameters
    ----------
    values
        One per seed.
    base
        Of the base, with the same seeds; ``None`` to compare with nothing.
    """
    summary: dict[str, Any] = {"mean": float(np.mean(values)), "seeds": len(values)}
    if len(values) > 1:
        summary["interval"] = list(interval_of_mean(np.array(values)))
    if base is not None:
        differences = np.array(values) - np.array(base)
        summary["difference"] = float(differences.mean())
        summary["difference_interval"] = list(interval_of_mean(differences))
    return summary


def verdict(interval: Sequence[float]) -> Verdict:
    """Whether an interval of a difference lies above zero, below it, or holds it."""
    low, high = interval
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "none"


def group_sentences(group: str, rows: Mapping[str, Any]) -> list[str]:
    """One sentence for each row of a group: what helped, what harmed, what cannot be told."""
    return [sentence(v, rows[v.name]) for v in VARIANTS if v.group == group and v.name in rows]


def sentence(variant: Variant, row: Mapping[str, Any]) -> str:
    """What one row says of the change that it stands for.

    Differences are told as the change's effect: where the base has the change and the
    row has not, they are the base minus the row.
    """
    found: dict[Verdict, list[str]] = {}
    for test, name in TESTS.items():
        difference = row[test]["difference"]
        low, high = row[test]["difference_interval"]
        if variant.in_base:
            difference, low, high = -difference, -high, -low
        figures = f"({_signed(difference)}, {_signed(low)} to {_signed(high)})"
        found.setdefault(verdict((low, high)), []).append(f"on {name} {figures}")
    untold = " and ".join(found.pop("none", []))
    if not found:
        return f"{variant.change.rstrip(',')}: no difference can be shown {untold}."
    verbs: dict[Verdict, str] = {"higher": "helped", "lower": "harmed"}
    told = " and ".join(f"{verbs[way]} {' and '.join(where)}" for way, where in found.items())
    after = f"; no difference can be shown {untold}" if untold else ""
    return f"{variant.change} {told}{after}."


def linear_sentence(rows: Mapping[str, Any]) -> list[str]:
    """How the base compares with the linear model on the same texts, and whether any row does."""
    if LINEAR_LIMITED not in rows:
        return []
    linear = rows[LINEAR_LIMITED]
    words: dict[Verdict, str] = {
        "higher": "is better than the base",
        "lower": "is worse than the base",
        "none": "cannot be told from the base",
    }
    found: dict[Verdict, list[str]] = {}
    for test, name in TESTS.items():
        low, high = linear[test]["difference_interval"]
        difference = _signed(linear[test]["difference"])
        found.setdefault(verdict((low, high)), []).append(
            f"on {name} ({difference}, {_signed(low)} to {_signed(high)})"
        )
    told = [f"{words[way]} {' and '.join(where)}" for way, where in found.items()]
    sentences = ["The linear model on the same texts " + " and ".join(told) + "."]
    own = [rows[v.name] for v in VARIANTS if v.name in rows]
    if all(row[test]["mean"] < linear[test]["mean"] for row in own for test in TESTS):
        sentences.append(
            "No row reaches it: these encoders are far from learned out, and the table says what "
            "helps at the beginning of learning."
        )
    return sentences


def nothing_learned(rows: Mapping[str, Any]) -> list[str]:
    """Names of the rows that are nowhere better than the constant answer."""
    return [
        v.name
        for v in VARIANTS
        if v.name in rows
        and all(rows[v.name][test]["mean"] <= rows[CONSTANT][test]["mean"] for test in TESTS)
    ]


def as_markdown(results: Mapping[str, Any]) -> str:
    """``lyric_ablation.md``."""
    lines = [
        "# Ablations of the lyric branch at embedded scale",
        "",
        f"Command: `{results['command']}`.",
        "",
        *_setting_lines(results),
        "",
        *_table_lines(results),
        "",
        "## What helped and what did not",
        "",
    ]
    titles = {
        "pretraining": "Pretraining",
        "encoder": "Frozen or full",
        "head": "Heads",
        "labels": "Labels",
        "linear": "Beside a linear model",
    }
    for group, sentences in results["sentences"].items():
        lines += [f"- **{titles[group]}.** {' '.join(sentences)}"] if sentences else []
    idle = nothing_learned(results["rows"])
    if idle:
        lines += [
            "",
            f"Nowhere better than the constant answer: {', '.join(idle)}. Within these passes they "
            "learned nothing, and a difference from them says only that the base learned "
            "something.",
        ]
    shown = sum(
        verdict(row[test]["difference_interval"]) != "none"
        for name, row in results["rows"].items()
        for test in TESTS
        if "difference_interval" in row[test] and name != LINEAR_LIMITED
    )
    compared = 2 * sum(variant.name in results["rows"] for variant in VARIANTS[1:])
    lines += [
        "",
        f"{shown} of {compared} differences between rows and base have an interval without zero. "
        "Of so many intervals of 95%, about one would leave out zero by chance. With "
        f"{len(results['seeds'])} seeds only large differences can be shown: what is not shown "
        "here may still be there.",
        "",
        *_perplexity_lines(results),
    ]
    return "\n".join(lines) + "\n"


def _setting_lines(results: Mapping[str, Any]) -> list[str]:
    settings = results["settings"]
    encoder = settings["encoder"]
    texts, stages = results["texts"], results["stages"]
    drawn = f"at most {settings['limit']:,} of each source, drawn by the seed"
    return [
        "All figures are macro-F1 of the six emotions on **validation** texts: "
        f"{results['scored']['kote']:,} of KOTE and {results['scored']['kpoem']:,} of KPoEM with "
        "one strongest emotion. This study never reads a test text. The pass that is judged was "
        "chosen on the same texts, by the mean of both figures, so the figures are somewhat too "
        "good in all rows alike; the linear models chose nothing. The default sizes, rates and "
        "head were settled by trials on the same texts with seed 0, in which cls gave one emotion "
        "to every text: the comparison of heads repeats what was seen there.",
        "",
        f"Every encoder starts from random weights: {encoder['layers']} layers, "
        f"{encoder['hidden_size']} hidden, {encoder['attention_heads']} heads, "
        f"{encoder['intermediate_size']} intermediate, {encoder['vocab_size']:,} word pieces "
        "trained on the stage texts. It was never pretrained on anything but what a row says. "
        "What holds at this scale need not hold for encoders of a hundred million weights.",
        "",
        f"Pretraining: {settings['steps']:,} steps of {settings['batch']} blocks of "
        f"{encoder['max_tokens']} pieces, {settings['pieces']:,} pieces in all, the same for one "
        "stage and for three, which share them equally. Stages: "
        + "; ".join(f"{name}, {stages[name]:,} {what}" for name, what in STAGES_READ.items())
        + ". A pretraining with three stages warms up three times.",
        "",
        f"Tuning: {drawn} ({texts['kote']['train']:,} of KOTE, {texts['kpoem']['train']:,} of "
        f"KPoEM and {texts['goemotions-ko']['train']:,} of GoEmotions (ko) are there), "
        f"{settings['epochs']} passes, batches of {settings['tuning_batch']}, learning rate "
        f"{settings['rate']:g} (the default of `maeum train lyrics` where the head alone is "
        "trained). More sources mean more texts and more steps.",
        "",
        "Base: all stages in order, full, architecture2, kote + kpoem. Every other row differs "
        f"from it in one thing. Seeds {', '.join(map(str, results['seeds']))}; the seed changes "
        "the first weights, the masks, the texts that are drawn and their order. Intervals are "
        "Student's, 95%, over seeds; differences are paired by seed. "
        f"All runs took {results['minutes']:.0f} minutes.",
    ]


def _table_lines(results: Mapping[str, Any]) -> list[str]:
    rows = results["rows"]
    head = ["group", "row"]
    for name in TESTS.values():
        head += [f"{name} (95%)", f"{name}, difference from the base (95%)"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for group, of_base in GROUPS.items():
        own = [(v.name, v.name) for v in VARIANTS if v.group == group]
        # The base stands where it belongs among the rows of its group.
        place = {"pretraining": 2, "encoder": 1, "head": 2, "labels": 1}.get(group, 0)
        own.insert(place, (f"{of_base} (base)", BASE.name))
        lines += [_table_line(group, shown, rows[name]) for shown, name in own]
    for name in (CONSTANT, LINEAR_LIMITED, LINEAR_ALL):
        if name in rows:
            lines.append(_table_line("baselines", name, rows[name]))
    return lines


def _table_line(group: str, shown: str, row: Mapping[str, Any]) -> str:
    cells = [group, shown]
    for test in TESTS:
        figures = row[test]
        cells.append(_with_interval(f"{figures['mean']:.3f}", figures.get("interval")))
        cells.append(
            _with_interval(
                _signed(figures["difference"]), figures["difference_interval"], signed=True
            )
            if "difference" in figures
            else ""
        )
    return "| " + " | ".join(cells) + " |"


def _with_interval(value: str, interval: Sequence[float] | None, *, signed: bool = False) -> str:
    if interval is None:
        return value
    low, high = (_signed(end) if signed else f"{end:.3f}" for end in interval)
    return f"{value} ({low} to {high})"


def _signed(value: float) -> str:
    """With its sign; what rounds to zero has none."""
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def _perplexities(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each pretraining and stage: perplexity, mean over seeds, and passes over the text."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for record in records:
        if record["kind"] != "pretraining":
            continue
        own = found.setdefault(record["row"], {})
        passes = {stage["name"]: stage["passes"] for stage in record["figures"]["stages"]}
        for stage, value in record["figures"]["perplexity"].items():
            of_stage = own.setdefault(stage, {"perplexity": [], "passes": []})
            of_stage["perplexity"].append(value)
            of_stage["passes"].append(passes[stage])
    return {
        row: {
            stage: {name: float(np.mean(values)) for name, values in of_stage.items()}
            | {"seeds": len(of_stage["perplexity"])}
            for stage, of_stage in own.items()
        }
        for row, own in found.items()
    }


def _perplexity_lines(results: Mapping[str, Any]) -> list[str]:
    stages = list(STAGES_READ)
    pieces = results["settings"]["encoder"]["vocab_size"]
    lines = [
        "## What the encoders learned of the texts",
        "",
        "Perplexity of masked pieces on held-out texts of the stages that were read, mean over "
        f"seeds, and passes over the stage's text. Guessing every piece alike has {pieces:,}.",
        "",
        "| stages, in order | " + " | ".join(stages) + " |",
        "|---" * (len(stages) + 1) + "|",
    ]
    for row, own in results["perplexity"].items():
        cells = [
            f"{own[stage]['perplexity']:,.0f} ({own[stage]['passes']:.1f} passes)"
            if stage in own
            else ""
            for stage in stages
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines
