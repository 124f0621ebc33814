"""Numbers as texts, for the readings of VIEW (VIEW-1 to VIEW-3)."""

import re

from vectors import Fault

NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)


def need(condition, code):
    if not condition:
        raise Fault(code)


def read_number(text):
    """The sign, the digits and the power of ten of a normal number (VIEW-1, VIEW-2)."""
    need(len(text.encode()) <= 4096, "E_NUMBER")
    found = NUMBER.fullmatch(text)
    need(found, "E_NUMBER")
    sign, whole, fraction, power = found.groups()
    digits = (whole + (fraction or "")).lstrip("0")
    # Integers of Python have no limit, but its reading of them has one.
    power = power or "0"
    small = len(power.lstrip("+-").lstrip("0")) <= 9
    exponent = (int(power) if small else (-(10**9) if power[0] == "-" else 10**9)) - len(fraction or "")
    kept = digits.rstrip("0")
    if not kept:
        return "", "0", 0
    exponent += len(digits) - len(kept)
    need(len(kept) <= 38 and -1000 <= exponent <= 1000, "E_NUMBER_RANGE")
    return sign, kept, exponent


def write_number(sign, digits, exponent):
    """VIEW-3."""
    point = len(digits) + exponent
    if digits == "0":
        return "0"
    if 1 <= point <= 38:
        padded = digits.ljust(point, "0")
        text = padded[:point] + ("." + padded[point:] if padded[point:] else "")
    elif -5 <= point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{point - 1}"
    return sign + text
