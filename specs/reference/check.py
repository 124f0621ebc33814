"""Runs every reading in this folder against the vectors, and checks the registry.

Python 3.10 or later, standard library only.

    python3 specs/reference/check.py

Prints what failed and `N passed, M failed`; exits with 1 if anything failed.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import access  # noqa: E402
import blocks  # noqa: E402
import crdt  # noqa: E402
import deltas  # noqa: E402
import documents  # noqa: E402
import feed  # noqa: E402
import patch  # noqa: E402
import pairing  # noqa: E402
import payloads  # noqa: E402
import projections  # noqa: E402
import records  # noqa: E402
import repo  # noqa: E402
import rights  # noqa: E402
import sketch  # noqa: E402
import statement  # noqa: E402
import sync  # noqa: E402
import tree  # noqa: E402
import trust  # noqa: E402
import views  # noqa: E402

# statement.py runs the keystores too.
READINGS = [
    ("statement", statement), ("tree", tree), ("blocks", blocks), ("repo", repo), ("rights", rights), ("patch", patch), ("sync", sync),
    ("views", views), ("records", records), ("projections", projections), ("crdt", crdt), ("sketch", sketch), ("feed", feed), ("deltas", deltas),
    ("payloads", payloads), ("pairing", pairing), ("trust", trust), ("access", access), ("documents", documents),
]  # fmt: skip
CODE = re.compile(r"\bE_[A-Z0-9_]+\b")
ROW = re.compile(r"^\| `(E_[A-Z0-9_]+)` \|", re.MULTILINE)


def codes_in(folder, pattern):
    found = {}
    for path in sorted(folder.glob(pattern)):
        for code in CODE.findall(path.read_text(encoding="utf-8")):
            found.setdefault(code, path)
    return found


def registry():
    """Every error code of the sources, the pages and the vectors is registered, with its pages."""
    specs = HERE.parent
    text = (specs / "registry.md").read_text(encoding="utf-8")
    registered = ROW.findall(text)
    failures = [f"registry.md: {code} twice" for code in sorted(set(registered)) if registered.count(code) > 1]
    pages = {}
    for page in sorted(specs.glob("[0-9]*.md")):
        name = re.match(r"# ([A-Z]+):", page.read_text(encoding="utf-8")).group(1)
        for code in ROW.findall(page.read_text(encoding="utf-8")):
            pages.setdefault(code, set()).add(name)
    for code, names in sorted(pages.items()):
        row = re.search(rf"^\| `{code}` \|.*$", text, re.MULTILINE)
        stated = set(re.findall(r"\b[A-Z]{3,}\b", row.group(0).rsplit("|", 2)[1])) if row else set()
        if row and not names <= stated:
            failures.append(f"registry.md: {code} is on {', '.join(sorted(names))}")
    used = {}
    for folder, pattern in (
        (specs.parent / "crates", "**/src/**/*.rs"),
        (specs / "vectors", "**/*.json"),
        (specs, "[0-9]*.md"),
    ):
        used |= codes_in(folder, pattern)
    for code, path in sorted(used.items()):
        if code not in registered:
            failures.append(f"{path.relative_to(specs.parent)}: {code} is not in registry.md")
    for code in registered:
        if code not in used:
            failures.append(f"registry.md: nothing has {code}")
    return len(registered), failures


def main():
    passed, failed = 0, 0
    for name, reading in READINGS:
        done, failures = reading.check(str(HERE.parent / "vectors"))
        passed, failed = passed + done, failed + len(failures)
        for failure in failures:
            print(f"{name}: {failure}")
    done, failures = registry()
    for failure in failures:
        print(failure)
    print(f"{passed + done} passed, {failed + len(failures)} failed")
    sys.exit(bool(failed or failures))


if __name__ == "__main__":
    main()
