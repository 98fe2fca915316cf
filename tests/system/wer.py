"""Word error rate (Levenshtein over words), for tests."""

import re


def words(text: str) -> list[str]:
    """Lower-case words; decimals stay one word."""
    return re.sub(r"[^\w%/ ]", " ", re.sub(r"(\d),(\d)", r"\1_\2", text.lower())).split()


def word_error_rate(reference: str, heard: str) -> float:
    """Edits per word of the reference."""
    want, got = words(reference), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(want, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1] / len(want)
