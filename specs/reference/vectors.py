"""Running and writing vector files, for the readings beside this file."""

import json
import pathlib
import sys


class Fault(Exception):
    """A refusal with its registered code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


CASE_MEMBERS = {"id", "rule", "comment", "input", "expect"}


def outcome(run, given):
    try:
        return {"ok": run(given)}
    except Exception as fault:
        # Each reading may have a Fault of its own.
        if not hasattr(fault, "code") or type(fault).__name__ != "Fault":
            raise
        return {"error": fault.code}


def check(vectors_dir, runners):
    """Runs every case. Returns how many passed, and a text for each that did not."""
    passed, failures = 0, []
    for name, run in runners.items():
        document = json.loads((pathlib.Path(vectors_dir) / name).read_text())
        if set(document) != {"spec", "revision", "schema", "cases"}:
            failures.append(f"{name}: unknown members")
        for case in document["cases"]:
            got = outcome(run, case["input"])
            if set(case) != CASE_MEMBERS:
                failures.append(f"{name} {case['id']}: unknown members")
            elif got != case["expect"]:
                failures.append(f"{name} {case['id']}: {got} instead of {case['expect']}")
            else:
                passed += 1
    return passed, failures


def write(vectors_dir, spec, runners, files):
    """Writes cases made by hand: (id, comment, input, error code or None), judged by the reading."""
    for name, cases in files:
        document = {"spec": spec, "revision": 1, "schema": 1, "cases": []}
        seen = set()
        for case_id, comment, given, expected in cases:
            got = outcome(runners[name], given)
            if got.get("error") != expected:
                raise SystemExit(f"{case_id}: {got}, meant {expected}")
            if case_id in seen:
                raise SystemExit(f"{case_id} twice")
            seen.add(case_id)
            document["cases"].append(
                {
                    "id": case_id,
                    "rule": [case_id.split("/")[0]],
                    "comment": comment,
                    "input": given,
                    "expect": got,
                }
            )
        path = pathlib.Path(vectors_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def main(check_all, write_all, arguments):
    if arguments[:1] == ["--write"]:
        write_all(arguments[1])
        return
    passed, failures = check_all(arguments[0])
    for failure in failures:
        print(failure)
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(bool(failures))
