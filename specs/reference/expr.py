"""A second reading of VIEW: expressions, from specs/28-views.md alone.

Python 3.10 or later, standard library only. It shares no code with the crates. Numbers are fractions here, LIKE is a
table, and dates are those of the standard library.

A value is a pair of its kind and what it is; an expression is a tuple that begins with what it does.
"""

import datetime
import itertools
import math
import re
import struct
import sys
from fractions import Fraction

from decimals import need, read_number, write_number
from vectors import Fault

KINDS = ["null", "boolean", "number", "float", "timestamp", "text", "bytes"]
RESERVED = set("AND BETWEEN CASE ELSE END ESCAPE FALSE IN IS LIKE NOT NULL OR THEN TRUE WHEN".split())
TYPES = ["integer", "number", "float", "text"]
# How many arguments each function takes: at least, and at most.
FUNCTIONS = {
    "abs": (1, 1), "coalesce": (2, None), "date": (1, 1), "day": (1, 1), "hour": (1, 1), "ifnull": (2, 2),
    "instr": (2, 2), "length": (1, 1), "lower": (1, 1), "ltrim": (1, 2), "max": (2, None), "min": (2, None),
    "minute": (1, 1), "month": (1, 1), "nullif": (2, 2), "replace": (3, 3), "round": (1, 2), "rtrim": (1, 2),
    "second": (1, 1), "substr": (2, 3), "trim": (1, 2), "typeof": (1, 1), "upper": (1, 1), "year": (1, 1),
}
BYTES_MAX, LEVELS_MAX, PARTS_MAX, RESULT_MAX, PATTERN_MAX = 4096, 64, 1024, 1 << 20, 1024

NULL = ("null", None)
DAY = 86_400_000_000

sys.setrecursionlimit(10_000)


# Words

WORD = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*")
      | (?P<bytes>[xX]'(?:[0-9A-Fa-f]{2})*')
      | (?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.])
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<symbol>\|\||==|!=|<>|<=|>=|[=<>+\-*/%(),.])""",
    re.VERBOSE | re.ASCII,
)
BLANK = re.compile(r"[ \t\n\r\f]*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def words(text):
    """The words of an expression, each with its kind; the last one is an end."""
    found, at = [], BLANK.match(text).end()
    while at < len(text):
        need(not text.startswith("--", at), "E_EXPR")
        match = WORD.match(text, at)
        need(match, "E_EXPR")
        kind, word = match.lastgroup, match.group()
        need(not (kind == "name" and word in "xX" and text.startswith("'", match.end())), "E_EXPR")
        found.append((kind, word))
        at = BLANK.match(text, match.end()).end()
    return found + [("end", "")]


def number_of(text, code):
    try:
        sign, digits, power = read_number("0" + text if text.startswith(".") else text)
    except Fault:
        raise Fault(code) from None
    return Fraction(int(sign + digits)) * Fraction(10) ** power


# Timestamps


def spell_date(day):
    # The calendar is the same 400 years later.
    era, rest = divmod(day + 719_162, 146_097)
    date = datetime.date.fromordinal(rest + 1)
    year = date.year + 400 * era
    sign = "+" if year > 9999 else "-" if year < 0 else ""
    return f"{sign}{abs(year):04}-{date.month:02}-{date.day:02}", year, date.month, date.day


def parts_of(timestamp):
    day, micros = divmod(timestamp, DAY)
    text, year, month, date = spell_date(day)
    seconds, micros = divmod(micros, 1_000_000)
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text, (year, month, date), clock, micros


def spell_timestamp(timestamp):
    text, _, clock, micros = parts_of(timestamp)
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    return f"{text}T{clock[0]:02}:{clock[1]:02}:{clock[2]:02}{fraction}Z"


TIMESTAMP = re.compile(r"([+-]?)([0-9]{4,6})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z", re.ASCII)


def read_timestamp(text):
    match = TIMESTAMP.fullmatch(text)
    need(match, "E_EXPR")
    sign, year, *rest, fraction = match.groups()
    month, day, hour, minute, second = map(int, rest)
    need({"": len(year) == 4, "+": year >= "1" and len(year) > 4, "-": int(year) > 0 and (len(year) == 4 or year[0] != "0")}[sign], "E_EXPR")
    year = -int(year) if sign == "-" else int(year)
    need(hour < 24 and minute < 60 and second < 60, "E_EXPR")
    era, within = divmod(year - 1, 400)
    try:
        days = datetime.date(within + 1, month, day).toordinal() - 1 + 146_097 * era - 719_162
    except ValueError:
        raise Fault("E_EXPR") from None
    micros = days * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + int((fraction or "0").ljust(6, "0"))
    need(-(2**63) <= micros < 2**63, "E_EXPR")
    return micros


# Reading


class Reader:
    def __init__(self, text):
        self.words, self.at, self.open, self.parts = words(text), 0, 0, 0

    def peek(self, *options):
        kind, word = self.words[self.at]
        word = word.upper() if kind == "name" else word
        return word if kind in ("name", "symbol") and word in options else None

    def take(self, *options):
        word = self.peek(*options)
        self.at += word is not None
        return word

    def want(self, word):
        need(self.take(word), "E_EXPR")

    def enter(self):
        self.open += 1
        need(self.open <= LEVELS_MAX, "E_EXPR")

    def leave(self, word):
        self.want(word)
        self.open -= 1

    def part(self, node):
        self.parts += 1
        need(self.parts <= PARTS_MAX, "E_EXPR")
        return node

    def chain(self, word, inner):
        found = [inner()]
        while self.take(word):
            found.append(inner())
        return self.part((word.lower(), *found)) if len(found) > 1 else found[0]

    def either(self):
        return self.chain("OR", lambda: self.chain("AND", self.negation))

    def negation(self):
        if not self.take("NOT"):
            return self.equality()
        # One after the other, as there can be too many.
        count = 1
        while self.take("NOT"):
            count += 1
        node = self.equality()
        for _ in range(count):
            node = self.part(("not", node))
        return node

    def equality(self):
        left = self.comparison()
        while word := self.take("=", "==", "<>", "!=", "IS", "NOT", "BETWEEN", "IN", "LIKE"):
            negated = word == "NOT" or (word == "IS" and bool(self.take("NOT")))
            if word == "NOT":
                word = self.take("BETWEEN", "IN", "LIKE")
                need(word, "E_EXPR")
            if word == "BETWEEN":
                low = self.comparison()
                self.want("AND")
                left = ("between", left, low, self.comparison())
            elif word == "IN":
                self.want("(")
                left = ("in", left, *self.list())
            elif word == "LIKE":
                pattern, escape = self.comparison(), None
                if self.take("ESCAPE"):
                    kind, text = self.words[self.at]
                    need(kind == "text", "E_EXPR")
                    escape = text[1:-1].replace("''", "'")
                    need(len(escape) == 1, "E_EXPR")
                    self.at += 1
                left = ("like", left, pattern, escape)
            else:
                left = ("op", {"==": "=", "!=": "<>"}.get(word, word), left, self.comparison())
            self.part(left)
            left = self.part(("not", left)) if negated else left
        return left

    def left_to_right(self, signs, inner):
        left = inner()
        while sign := self.take(*signs):
            left = self.part(("op", sign, left, inner()))
        return left

    def comparison(self):
        return self.left_to_right(["<", "<=", ">", ">="], self.sum)

    def sum(self):
        return self.left_to_right(["+", "-"], self.product)

    def product(self):
        return self.left_to_right(["*", "/", "%"], self.concat)

    def concat(self):
        return self.left_to_right(["||"], self.sign)

    def sign(self):
        count = 0
        while self.take("-"):
            count += 1
        node = self.single()
        for _ in range(count):
            if node[0] == "literal" and node[1][0] == "number":
                node = ("literal", ("number", -node[1][1]))
            else:
                node = self.part(("minus", node))
        return node

    def list(self):
        """What is behind a bracket."""
        self.enter()
        found = [self.either()]
        while self.take(","):
            found.append(self.either())
        self.leave(")")
        return found

    def literal(self, kind, value):
        return self.part(("literal", (kind, value)))

    def single(self):
        kind, word = self.words[self.at]
        self.at += 1
        if kind == "number":
            return self.literal("number", number_of(word, "E_EXPR"))
        if kind == "text":
            return self.literal("text", word[1:-1].replace("''", "'"))
        if kind == "bytes":
            return self.literal("bytes", bytes.fromhex(word[2:-1]))
        if kind == "quoted":
            return self.field(word[1:-1].replace('""', '"'))
        if word == "(":
            self.enter()
            node = self.either()
            self.leave(")")
            return node
        need(kind == "name", "E_EXPR")
        upper = word.upper()
        if upper in ("TRUE", "FALSE"):
            return self.literal("boolean", upper == "TRUE")
        if upper == "NULL":
            return self.literal(*NULL)
        if upper == "CASE":
            return self.case()
        need(upper not in RESERVED, "E_EXPR")
        if self.peek("("):
            self.at += 1
            return self.cast() if upper == "CAST" else self.call(word.lower())
        if upper == "TIMESTAMP" and self.words[self.at][0] == "text":
            text = self.words[self.at][1][1:-1].replace("''", "'")
            self.at += 1
            return self.literal("timestamp", read_timestamp(text))
        return self.field(word)

    def field(self, first):
        names = [first]
        while self.take("."):
            kind, word = self.words[self.at]
            need(kind == "quoted" or (kind == "name" and word.upper() not in RESERVED), "E_EXPR")
            names.append(word[1:-1].replace('""', '"') if kind == "quoted" else word)
            self.at += 1
        return self.part(("field", *names))

    def call(self, name):
        need(name in FUNCTIONS, "E_EXPR")
        arguments = [] if self.take(")") else self.list()
        least, most = FUNCTIONS[name]
        need(len(arguments) >= least and (most is None or len(arguments) <= most), "E_EXPR")
        return self.part(("call", name, *arguments))

    def cast(self):
        self.enter()
        node = self.either()
        self.want("AS")
        to = self.take(*(name.upper() for name in TYPES))
        need(to, "E_EXPR")
        self.leave(")")
        return self.part(("cast", to.lower(), node))

    def case(self):
        self.enter()
        of = None if self.peek("WHEN") else self.either()
        branches = []
        while self.take("WHEN"):
            when = self.either()
            self.want("THEN")
            branches.append((when, self.either()))
        need(branches, "E_EXPR")
        otherwise = self.either() if self.take("ELSE") else None
        self.leave("END")
        return self.part(("case", of, branches, otherwise))


def parts(node):
    does = node[0]
    if does in ("literal", "field"):
        return []
    if does == "case":
        return [part for part in (node[1], *sum(node[2], ()), node[3]) if part]
    return [part for part in node[1:] if isinstance(part, tuple)]


def levels(node):
    return 1 + max(map(levels, parts(node)), default=0)


def parse(text):
    need(len(text.encode()) <= BYTES_MAX, "E_EXPR")
    reader = Reader(text)
    node = reader.either()
    need(reader.words[reader.at][0] == "end" and levels(node) <= LEVELS_MAX, "E_EXPR")
    need(len(spell(node).encode()) <= BYTES_MAX, "E_EXPR")
    return node


# Writing

BINDS = {"=": 3, "<>": 3, "IS": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "||": 7}


def has_not_within(node):
    return node[0] in ("between", "in", "like") or node[:2] == ("op", "IS")


def binds(node):
    """How tightly: 0 for OR, 9 for what needs no brackets."""
    does = node[0]
    if does == "op":
        return BINDS[node[1]]
    if does == "not":
        return 3 if has_not_within(node[1]) else 2
    if does == "literal" and node[1][0] == "number" and node[1][1] < 0:
        return 8
    return {"or": 0, "and": 1, "between": 3, "in": 3, "like": 3, "minus": 8}.get(does, 9)


def quote(text, mark="'"):
    return mark + text.replace(mark, mark * 2) + mark


def spell_name(name):
    return name if NAME.fullmatch(name) and name.upper() not in RESERVED else quote(name, '"')


def spell_path(names):
    return ".".join(map(spell_name, names))


def spell_value(value):
    kind, content = value
    if kind == "null":
        return "NULL"
    if kind == "boolean":
        return "TRUE" if content else "FALSE"
    if kind == "number":
        return spell_number(content)
    if kind == "timestamp":
        return f"TIMESTAMP '{spell_timestamp(content)}'"
    return quote(content) if kind == "text" else f"x'{content.hex()}'"


def spell(node, least=0, negated=""):
    does = node[0]
    if binds(node) < least:
        return f"({spell(node)})"
    if does == "literal":
        return spell_value(node[1])
    if does == "field":
        return spell_path(node[1:])
    if does in ("and", "or"):
        return f" {does.upper()} ".join(spell(part, 2 if does == "and" else 1) for part in node[1:])
    if does == "not":
        return spell(node[1], 0, "NOT ") if has_not_within(node[1]) else "NOT " + spell(node[1], 2)
    if does == "minus":
        return "-" + spell(node[1], 9)
    if does == "op":
        tight = BINDS[node[1]]
        return f"{spell(node[2], tight)} {node[1]} {negated}{spell(node[3], tight + 1)}"
    if does == "between":
        return f"{spell(node[1], 3)} {negated}BETWEEN {spell(node[2], 4)} AND {spell(node[3], 4)}"
    if does == "in":
        return f"{spell(node[1], 3)} {negated}IN ({', '.join(map(spell, node[2:]))})"
    if does == "like":
        escape = "" if node[3] is None else f" ESCAPE {quote(node[3])}"
        return f"{spell(node[1], 3)} {negated}LIKE {spell(node[2], 4)}{escape}"
    if does == "cast":
        return f"CAST({spell(node[2])} AS {node[1]})"
    if does == "call":
        return f"{node[1]}({', '.join(map(spell, node[2:]))})"
    _, of, branches, otherwise = node
    text = "CASE" + (f" {spell(of)}" if of else "")
    text += "".join(f" WHEN {spell(when)} THEN {spell(then)}" for when, then in branches)
    return text + (f" ELSE {spell(otherwise)}" if otherwise else "") + " END"


# Numbers


def normal(fraction):
    """The digits and the power of ten of a decimal, with a sign; fails if they cannot be kept (VIEW-2)."""
    if fraction == 0:
        return 0, 0
    scaled = abs(fraction) * 10**2100
    need(scaled.denominator == 1, "E_EVAL")
    digits = str(scaled.numerator)
    kept = digits.rstrip("0")
    power = len(digits) - len(kept) - 2100
    need(len(kept) <= 38 and -1000 <= power <= 1000, "E_EVAL")
    return (-1 if fraction < 0 else 1) * int(kept), power


def number(fraction):
    normal(fraction)
    return ("number", fraction)


def spell_number(fraction):
    digits, power = normal(fraction)
    return write_number("-" if digits < 0 else "", str(abs(digits)), power)


def to_digits(fraction, count=38):
    """A number rounded to so many digits, of two to the even one (VIEW-14)."""
    if fraction == 0:
        return fraction
    size = abs(fraction)
    power = len(str(size.numerator)) - len(str(size.denominator)) - count
    while size >= Fraction(10) ** (power + count):
        power += 1
    while size < Fraction(10) ** (power + count - 1):
        power -= 1
    # Python rounds to even.
    return round(fraction / Fraction(10) ** power) * Fraction(10) ** power


def to_float(fraction):
    digits, power = normal(fraction)
    return float(f"{digits}e{power}")


def a_float(content):
    return NULL if math.isnan(content) else ("float", content + 0.0)


def away(fraction):
    """The nearest whole number; of two, the one farther from 0."""
    whole = math.floor(abs(fraction) + Fraction(1, 2))
    return -whole if fraction < 0 else whole


# Computing


def truth(value):
    need(value[0] in ("null", "boolean"), "E_EVAL")
    return value[1]


def three(content):
    return NULL if content is None else ("boolean", content)


def exact(value):
    """What a number or a float is, so that it compares."""
    content = value[1]
    return content if isinstance(content, float) and math.isinf(content) else Fraction(content)


def order(left, right):
    """-1, 0 or 1 (VIEW-13)."""
    if left[0] in ("number", "float") and right[0] in ("number", "float"):
        one, two = exact(left), exact(right)
    elif left[0] != right[0]:
        one, two = KINDS.index(left[0]), KINDS.index(right[0])
    else:
        one, two = left[1], right[1]
    return (one > two) - (one < two)


def compared(sign, left, right):
    if NULL in (left, right):
        return (left == right) if sign == "IS" else None
    found = order(left, right)
    return {
        "=": found == 0, "IS": found == 0, "<>": found != 0,
        "<": found < 0, "<=": found <= 0, ">": found > 0, ">=": found >= 0,
    }[sign]  # fmt: skip


def decide(decider, results):
    found = not decider
    for result in results:
        if result is decider:
            return decider
        found = None if result is None else found
    return found


def arithmetic(sign, left, right):
    kinds = {left[0], right[0]}
    need(kinds <= {"number", "float"}, "E_EVAL")
    one, two = left[1], right[1]
    if sign == "%":
        need(kinds == {"number"} and one.denominator == two.denominator == 1, "E_EVAL")
        return NULL if two == 0 else number((-1 if one < 0 else 1) * (abs(one) % abs(two)))
    if sign == "/" and two == 0:
        return NULL
    if kinds == {"number"}:
        if sign == "/":
            return number(to_digits(one / two))
        return number(one + two if sign == "+" else one - two if sign == "-" else one * two)
    one, two = (to_float(side[1]) if side[0] == "number" else side[1] for side in (left, right))
    # A number that is not 0 can be a float that is.
    if sign == "/":
        return NULL if two == 0 else a_float(one / two)
    return a_float(one + two if sign == "+" else one - two if sign == "-" else one * two)


def spelled(value):
    kind, content = value
    need(kind in ("boolean", "number", "timestamp", "text"), "E_EVAL")
    if kind == "boolean":
        return "true" if content else "false"
    return content if kind == "text" else spell_number(content) if kind == "number" else spell_timestamp(content)


def text_of(content):
    need(len(content.encode()) <= RESULT_MAX, "E_EVAL")
    return ("text", content)


CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TO_LOWER = str.maketrans(CAPITALS, CAPITALS.lower())
TO_UPPER = str.maketrans(CAPITALS.lower(), CAPITALS)


def like(text, pattern, escape):
    need(text[0] == pattern[0] == "text" and len(pattern[1].encode()) <= PATTERN_MAX, "E_EVAL")
    text, rest = text[1].translate(TO_LOWER), list(pattern[1])
    # Whether what was read of the pattern matches the first 0, 1, 2 and so on of the text.
    matches = [True] + [False] * len(text)
    while rest:
        c = rest.pop(0)
        if c == escape and not rest:
            return False
        if c == "%" != escape:
            matches = list(itertools.accumulate(matches, bool.__or__))
            continue
        one = rest.pop(0) if c == escape else None if c == "_" else c
        one = one and one.translate(TO_LOWER)
        matches = [False] + [before and one in (None, found) for before, found in zip(matches, text)]
    return matches[-1]


def to_number(value):
    kind, content = value
    need(kind not in ("null", "bytes"), "E_EVAL")
    if kind == "text":
        # Only digits, signs and points of ASCII: `.5` is a number in an expression alone.
        need(not content.startswith("."), "E_EVAL")
        return number_of(content, "E_EVAL")
    if kind == "float":
        need(not math.isinf(content), "E_EVAL")
        return to_digits(Fraction(content))
    return Fraction(int(content)) if kind == "boolean" else Fraction(content)


def cast(to, value):
    kind, content = value
    if kind == "null" or (to == "float" and kind == "float"):
        return value
    if to == "text":
        if kind == "float":
            need(not math.isinf(content), "E_EVAL")
            rounded = (to_digits(Fraction(content), count) for count in range(1, 18))
            return ("text", spell_number(next(short for short in rounded if to_float(short) == content)))
        return ("text", spelled(value))
    found = to_number(value)
    if to == "float":
        return ("float", to_float(found) + 0.0)
    return number(Fraction(math.trunc(found)) if to == "integer" else found)


def whole(value):
    need(value[0] == "number" and value[1].denominator == 1 and -(2**63) <= value[1] < 2**63, "E_EVAL")
    return int(value[1])


def substr(text, start, size=None):
    first = whole(start) - 1 if whole(start) >= 0 else whole(start) + len(text)
    places = len(text) - first if size is None else whole(size)
    low, high = (first, first + places) if places >= 0 else (first + places, first)
    return text[max(low, 0) : max(high, 0)]


def trimmed(name, text, of=" "):
    if name != "rtrim":
        while text and text[0] in of:
            text = text[1:]
    if name != "ltrim":
        while text and text[-1] in of:
            text = text[:-1]
    return text


TEXTS = {"lower", "upper", "ltrim", "rtrim", "trim", "instr", "replace"}


def call(name, values):
    if name == "typeof":
        return ("text", values[0][0])
    if name == "nullif":
        return NULL if compared("=", *values) else values[0]
    if NULL in values:
        return NULL
    if name in ("max", "min"):
        best = values[0]
        for value in values[1:]:
            if order(value, best) == (1 if name == "max" else -1):
                best = value
        return best
    kind, content = values[0]
    contents = [value[1] for value in values]
    if name in TEXTS:
        need(all(value[0] == "text" for value in values), "E_EVAL")
        if name == "lower":
            return ("text", content.translate(TO_LOWER))
        if name == "upper":
            return ("text", content.translate(TO_UPPER))
        if name == "instr":
            return number(Fraction(content.find(contents[1]) + 1))
        if name == "replace":
            return text_of(content.replace(contents[1], contents[2])) if contents[1] else values[0]
        return ("text", trimmed(name, *contents))
    if name == "length":
        need(kind in ("text", "bytes"), "E_EVAL")
        return number(Fraction(len(content)))
    if name == "substr":
        need(kind == "text", "E_EVAL")
        return ("text", substr(content, *values[1:]))
    if name == "abs":
        need(kind in ("number", "float"), "E_EVAL")
        return (kind, abs(content))
    if name == "round":
        if kind == "float" and len(values) == 1:
            return values[0] if math.isinf(content) else a_float(float(away(Fraction(content))))
        need(kind == "number", "E_EVAL")
        places = min(max(whole(values[1]), 0), 2000) if len(values) == 2 else 0
        return number(Fraction(away(content * 10**places), 10**places))
    need(kind == "timestamp", "E_EVAL")
    date, days, clock, _ = parts_of(content)
    if name == "date":
        return ("text", date)
    return number(Fraction(dict(zip(("year", "month", "day", "hour", "minute", "second"), days + clock))[name]))


def compute(node, record):
    does = node[0]
    if does == "literal":
        return node[1]
    if does == "field":
        return record.get(spell_path(node[1:]), NULL)
    if does in ("and", "or"):
        return three(decide(does == "or", (truth(compute(part, record)) for part in node[1:])))
    if does == "in":
        of = compute(node[1], record)
        return three(decide(True, (compared("=", of, compute(part, record)) for part in node[2:])))
    if does == "between":
        of = compute(node[1], record)
        bounds = zip((">=", "<="), node[2:])
        return three(decide(False, (compared(sign, of, compute(part, record)) for sign, part in bounds)))
    if does == "case":
        _, of, branches, otherwise = node
        value = compute(of, record) if of else None
        for when, then in branches:
            found = compute(when, record)
            if compared("=", value, found) if of else truth(found):
                return compute(then, record)
        return compute(otherwise, record) if otherwise else NULL
    if does == "call" and node[1] in ("coalesce", "ifnull"):
        return next((value for value in (compute(part, record) for part in node[2:]) if value != NULL), NULL)
    values = [compute(part, record) for part in parts(node)]
    if does == "call":
        return call(node[1], values)
    if does == "op" and BINDS[node[1]] <= 4:
        return three(compared(node[1], *values))
    if NULL in values:
        return NULL
    if does == "not":
        return three(not truth(values[0]))
    if does == "minus":
        need(values[0][0] in ("number", "float"), "E_EVAL")
        return (values[0][0], -values[0][1] + 0)
    if does == "like":
        return three(like(*values, node[3]))
    if does == "cast":
        return cast(node[1], values[0])
    return text_of(spelled(values[0]) + spelled(values[1])) if node[1] == "||" else arithmetic(node[1], *values)


# Vectors


def read(value):
    (kind, content), = value.items()
    if kind == "number":
        return (kind, number_of(content, "E_NUMBER"))
    if kind == "float":
        return (kind, struct.unpack(">d", bytes.fromhex(content))[0] + 0.0)
    return (kind, bytes.fromhex(content) if kind == "bytes" else content)


def written(value):
    kind, content = value
    if kind == "number":
        return {kind: spell_number(content)}
    if kind == "float":
        return {kind: struct.pack(">d", content).hex()}
    return {kind: content.hex() if kind == "bytes" else content}


def run(given):
    node = parse(given["text"])
    record = {name: read(value) for name, value in given.get("record", {}).items()}
    return {"text": spell(node), "value": written(compute(node, record))}
