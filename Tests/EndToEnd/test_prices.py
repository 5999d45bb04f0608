"""The table of prices against LiteLLM's, where that is installed; it is not among what tools/setup installs.

    python3 -m venv /tmp/prices && /tmp/prices/bin/pip install pytest litellm
    /tmp/prices/bin/python -m pytest -q --noconftest Tests/EndToEnd/test_prices.py
"""

import importlib.metadata
import json
import pathlib

import pytest

try:
    FILES = importlib.metadata.files("litellm")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("LiteLLM is not installed", allow_module_level=True)

ROOT = pathlib.Path(__file__).parents[2]
TABLE = "model_prices_and_context_window_backup.json"
THEIRS = json.loads(next(file for file in FILES if file.name == TABLE).locate().read_text())
NUMBERS = {"chat": ("input_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost",
                    "output_cost_per_token", "max_input_tokens", "max_output_tokens"),
           "embedding": ("input_cost_per_token", "max_input_tokens")}


def rows():
    text = (ROOT / "Sources/JunctionProviders/ModelTable.swift").read_text().split('"""')[1]
    for line in text.strip().split("\n"):
        words = line.split()
        if len(words) == 2:
            mode, provider = words
        else:
            yield pytest.param(provider, mode, words[0], words[1:], id=f"{provider}/{words[0]}")


@pytest.mark.parametrize("provider, mode, name, ours", list(rows()))
def test_it_says_what_litellm_says(provider, mode, name, ours):
    theirs = THEIRS.get(f"{provider}/{name}") or THEIRS[name]
    for key, number in zip(NUMBERS[mode], ours):
        expected = theirs.get(key) or None if "cache" in key or "max" in key else theirs[key]
        ours_in_units = None if number == "-" else float(number) * (1e-6 if "cost" in key else 1)
        assert ours_in_units == (None if expected is None else pytest.approx(expected)), key
    if len(ours) > len(NUMBERS[mode]):
        bound, prompt, answer = ours[-1].split("*")
        suffix = f"_above_{int(bound) // 1000}k_tokens"
        for key, factor in zip(("input_cost_per_token", "output_cost_per_token"), (prompt, answer)):
            assert theirs[key + suffix] == pytest.approx(theirs[key] * float(factor)), key
