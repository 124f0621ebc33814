"""JSON (RFC 8259) with the text of each part, for the readings of TYPE and PROJ.

A part is a tuple: what it is, what it has, and its text as it stands. A string with half of a surrogate pair has None.
"""

import re

BLANK = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*)"', re.ASCII)
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.ASCII)
SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"null": ("null", None), "true": ("boolean", True), "false": ("boolean", False)}


class NoJson(Exception):
    pass


def unescaped(body):
    def one(match):
        word = match.group(1)
        return chr(int(word[1:], 16)) if len(word) == 5 else SHORT.get(word, word)

    try:
        # Two halves that follow each other are one character.
        return ESCAPE.sub(one, body).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


class Reader:
    def __init__(self, text):
        self.text, self.at = text, 0
        self.blank()

    def blank(self):
        self.at = BLANK.match(self.text, self.at).end()

    def take(self, word):
        found = self.text.startswith(word, self.at)
        if found:
            self.at += len(word)
            self.blank()
        return found

    def want(self, word):
        if not self.take(word):
            raise NoJson

    def match(self, pattern):
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def part(self):
        start = self.at
        kind, content = self.content()
        text = self.text[start : self.at].rstrip(" \t\n\r")
        self.blank()
        return kind, content, text

    def content(self):
        for word, found in WORDS.items():
            if self.take(word):
                return found
        if match := self.match(STRING):
            return "string", unescaped(match.group(1))
        if match := self.match(NUMBER):
            return "number", match.group()
        if self.take("["):
            return "array", self.items("]", self.part)
        self.want("{")
        return "object", self.items("}", self.member)

    def member(self):
        name = self.match(STRING)
        if not name:
            raise NoJson
        self.blank()
        self.want(":")
        return unescaped(name.group(1)), self.part()

    def items(self, end, one):
        found = []
        if self.take(end):
            return found
        while True:
            found.append(one())
            if self.take(end):
                return found
            self.want(",")


def parse(text):
    reader = Reader(text)
    found = reader.part()
    if reader.at != len(text):
        raise NoJson
    return found
