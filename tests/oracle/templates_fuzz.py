#!/usr/bin/env python3
# Differential fuzzing of the template language: random small templates from a grammar over everything that the
# interpreter offers, rendered by jinja2 (as transformers configures it) and by render_template; texts must be equal,
# errors must meet errors.
#
#   python3 tests/oracle/templates_fuzz.py PROGRAM [count] [seed]
import json
import random
import re
import subprocess
import sys
import warnings

from templates_make import NOW, compile_template, expected

warnings.simplefilter("ignore")
# What the reference prints with an address in it, or by a rule of Python alone, cannot be compared.
UNSTABLE = re.compile(r" at 0x[0-9a-f]+|<(class|function|bound|built-in|jinja2|transformers|generator|Macro|list_|tuple_|range_|dict_|str_|reversed)"
                      r"|<(LoopContext|Cycler|_cached)|chat_template_utils|jinja2\.|0x7f")

CONTEXT = {
    "s": "Hello, Wörld ß ǅ", "t": "  a b\n\tc  ", "e": "", "n": 3, "z": 0, "neg": -7, "f": 2.5, "g": -0.0, "big": 1e20, "none": None,
    "yes": True, "no": False, "l": [3, 1, 2], "ll": [[1, "a"], [2, "b"]], "em": [], "ls": ["b", "A", "c", "a"], "mixed": [1, "a", None, 2.5, True],
    "d": {"a": 1, "b": {"c": [1, 2, {"x": "y"}]}, "items": "shadow", "é": "ü"}, "ed": {},
    "msgs": [{"role": "user", "content": "hi", "n": 2}, {"role": "assistant", "content": None, "n": 1}, {"role": "user", "content": "ÄÖ {x}", "n": 2}],
    "x": "outer", "u": "日本🎉e\u0301", "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}, {"v": 5, "kids": []}],
}
STRINGS = ["", "a", "b", "Hello", "a,b,,c", " x ", "ß", "ǆ", "日本", "{}", "{0}-{1}", "%s", "%d", "%05.1f|%-4s|", "aXbXc", "12", "-3.7", "0x1f", "1e3",
           "don't", 'q"q', "a\nb\r\nc", "<b>&'\"", "Σας", "abcABC", "tab\there", "{a}", "%(a)s", "{:>6}", "{!r}", "a.b", "role", "content", "n"]
NAMES = [*CONTEXT, "undef", "x", "y", "ns"]
NUMBERS = ["0", "1", "2", "3", "-1", "7", "10", "100", "2.5", "-0.5", "1e3", "0.1", "1.0", "1_000", "0x1f", "3.0", "1e16", "123456789.123"]
NO_ARGUMENT = ["abs", "capitalize", "count", "e", "escape", "first", "float", "forceescape", "int", "items", "last", "length", "list", "lower",
               "max", "min", "reverse", "round", "safe", "sort", "string", "striptags", "sum", "title", "tojson", "trim", "unique", "upper",
               "urlencode", "wordcount", "xmlattr", "d", "default", "dictsort", "join", "indent", "filesizeformat", "center", "wordwrap", "truncate"]
TESTS = ["boolean", "callable", "defined", "undefined", "even", "odd", "false", "true", "float", "integer", "iterable", "lower", "upper", "mapping",
         "none", "number", "sequence", "string", "escaped", "filter", "test"]
TESTS1 = ["divisibleby", "eq", "ne", "lt", "gt", "le", "ge", "equalto", "in", "sameas", "greaterthan", "lessthan"]
METHODS0 = ["strip", "lstrip", "rstrip", "upper", "lower", "title", "capitalize", "swapcase", "split", "rsplit", "splitlines", "isdigit", "isalpha",
            "isalnum", "isspace", "isupper", "islower", "istitle", "isnumeric", "isdecimal", "isascii", "casefold", "items", "keys", "values", "copy",
            "isidentifier", "isprintable", "expandtabs"]


class Maker:
    def __init__(self, rng):
        self.r = rng
        self.macros = 0

    def pick(self, *options):
        return self.r.choice(options)

    def string(self):
        text = self.r.choice(STRINGS)
        quote = self.pick("'", '"')
        return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + quote

    def number(self):
        return self.r.choice(NUMBERS)

    def name(self):
        return self.r.choice(NAMES)

    def arguments(self, low, high, depth):
        return ", ".join(self.expr(depth) for _ in range(self.r.randint(low, high)))

    def atom(self):
        return self.pick(self.name, self.name, self.name, self.string, self.number, lambda: self.pick("true", "false", "none", "True", "None"))()

    def collection(self, depth):
        kind = self.r.random()
        if kind < 0.4:
            return "[" + self.arguments(0, 4, depth) + "]"
        if kind < 0.6:
            return "(" + self.arguments(2, 3, depth) + ")"
        return "{" + ", ".join(f"{self.pick(self.string, self.number, lambda: self.expr(0))()}: {self.expr(depth)}" for _ in range(self.r.randint(0, 3))) + "}"

    def filter(self, depth):
        kind = self.r.random()
        if kind < 0.45:
            return self.r.choice(NO_ARGUMENT)
        e = lambda: self.expr(depth)  # noqa: E731
        s = self.string
        n = lambda: self.pick("0", "1", "2", "3", "5", "8", "-1", "n")  # noqa: E731
        attribute = lambda: self.pick("'role'", "'content'", "'n'", "'0'", "1", "'v'", "'kids.0.v'")  # noqa: E731
        flag = lambda: self.pick("true", "false")  # noqa: E731
        return self.pick(
            lambda: f"join({s()})", lambda: f"join({s()}, attribute={attribute()})", lambda: f"default({e()})", lambda: f"default({e()}, {flag()})",
            lambda: f"replace({s()}, {s()})", lambda: f"replace({s()}, {s()}, {n()})", lambda: f"round({n()})", lambda: f"round({n()}, {self.pick(chr(39)+'floor'+chr(39), chr(39)+'ceil'+chr(39))})",
            lambda: f"sort(reverse={flag()})", lambda: f"sort(case_sensitive={flag()})", lambda: f"sort(attribute={attribute()})", lambda: f"sort(attribute='role,n')",
            lambda: f"map(attribute={attribute()}) | list", lambda: f"map(attribute={attribute()}, default={e()}) | list",
            lambda: f"map({self.pick(*(repr(x) for x in NO_ARGUMENT))}) | list", lambda: f"map('replace', {s()}, {s()}) | join('|')",
            lambda: f"select({self.pick(*(repr(x) for x in TESTS))}) | list", lambda: f"reject({self.pick(*(repr(x) for x in TESTS))}) | list",
            lambda: f"select({self.pick(*(repr(x) for x in TESTS1))}, {e()}) | list", lambda: "select | list", lambda: "reject | list",
            lambda: f"selectattr({attribute()}) | list", lambda: f"rejectattr({attribute()}) | list",
            lambda: f"selectattr({attribute()}, {self.pick(*(repr(x) for x in TESTS1))}, {e()}) | list",
            lambda: f"rejectattr({attribute()}, {self.pick(*(repr(x) for x in TESTS))}) | list | length",
            lambda: f"groupby({attribute()})", lambda: f"groupby({attribute()}, default={e()})", lambda: f"batch({n()}) | list", lambda: f"batch({n()}, {e()}) | list",
            lambda: f"slice({n()}) | list", lambda: f"slice({n()}, {e()}) | list", lambda: f"unique(case_sensitive={flag()}) | list", lambda: "unique | list",
            lambda: f"unique(attribute={attribute()}) | list", lambda: f"max(attribute={attribute()})", lambda: f"min(case_sensitive={flag()})",
            lambda: f"sum(attribute={attribute()})", lambda: f"sum(start={e()})", lambda: f"tojson(indent={n()})", lambda: f"tojson(ensure_ascii={flag()})",
            lambda: f"tojson(sort_keys={flag()}, indent={self.pick('none', '2')})", lambda: f"tojson(separators=({s()}, {s()}))", lambda: f"dictsort({flag()}, {self.pick(repr('key'), repr('value'))})",
            lambda: f"dictsort(reverse={flag()})", lambda: f"indent({n()})", lambda: f"indent({n()}, {flag()}, {flag()})", lambda: f"indent({s()}, first={flag()})",
            lambda: f"truncate({n()})", lambda: f"truncate({n()}, {flag()}, {s()}, {n()})", lambda: f"center({n()})", lambda: f"trim({s()})", lambda: f"int({e()})", lambda: f"int(0, {self.pick('2', '8', '16')})",
            lambda: f"float({e()})", lambda: f"format({self.arguments(0, 2, depth)})", lambda: f"format(a={e()})", lambda: f"attr({s()})", lambda: f"wordwrap({n()})",
            lambda: f"wordwrap({n()}, {flag()}, {s()}, {flag()})", lambda: "reverse | list", lambda: "items | list", lambda: f"abs({e()})", lambda: f"upper({e()})",
            lambda: f"filesizeformat({flag()})", lambda: f"xmlattr({flag()})", lambda: f"first({e()})", lambda: f"length(value={e()})",
        )()

    def method(self, depth):
        s, n = self.string, lambda: self.pick("0", "1", "2", "5", "-1", "-2", "none", "9")  # noqa: E731
        e = lambda: self.expr(depth)  # noqa: E731
        if self.r.random() < 0.35:
            return f".{self.r.choice(METHODS0)}()"
        return self.pick(
            lambda: f".strip({s()})", lambda: f".lstrip({s()})", lambda: f".rstrip({s()})", lambda: f".split({s()})", lambda: f".split({s()}, {n()})",
            lambda: f".rsplit({s()}, {n()})", lambda: f".split(none, {n()})", lambda: f".split(maxsplit={n()})", lambda: f".rsplit(none, {n()})", lambda: f".startswith({s()})",
            lambda: f".endswith({s()})", lambda: f".startswith(({s()}, {s()}), {n()})", lambda: f".endswith({s()}, {n()}, {n()})", lambda: f".replace({s()}, {s()})",
            lambda: f".replace({s()}, {s()}, {n()})", lambda: f".join({e()})", lambda: f".find({s()})", lambda: f".rfind({s()}, {n()})", lambda: f".index({e()})", lambda: f".rindex({s()})",
            lambda: f".find({s()}, {n()}, {n()})", lambda: f".count({e()})", lambda: f".count({s()}, {n()})", lambda: f".format({self.arguments(0, 3, depth)})", lambda: f".format(a={e()})",
            lambda: f".zfill({n()})", lambda: f".center({n()}, {s()})", lambda: f".ljust({n()})", lambda: f".rjust({n()}, {s()})", lambda: f".removeprefix({s()})",
            lambda: f".removesuffix({s()})", lambda: f".partition({s()})", lambda: f".rpartition({s()})", lambda: f".splitlines({self.pick('true', 'false')})",
            lambda: f".get({e()})", lambda: f".get({s()}, {e()})", lambda: ".append(1)", lambda: ".update({})", lambda: ".pop()", lambda: f".expandtabs({n()})",
            lambda: ".format(s, n, f)", lambda: f".index({e()}, {n()})",
        )()

    def format_spec(self):
        text = "{:" + self.pick("", "<", ">", "^", "*^", "=", "0=") + self.pick("", "+", "-", " ") + self.pick("", "#") + self.pick("", "0") + \
            self.pick("", "1", "8", "12") + self.pick("", ",", "_") + self.pick("", ".0", ".2", ".5") + self.pick("", "d", "f", "g", "e", "x", "s", "%", "b", "X", "G", "n", "c") + "}"
        return f"'{text}'.format({self.pick('n', 'neg', 'f', 'g', 'big', 's', 'yes', 'none', '1234567', '0.00001234', '65', '-1234.5678', '1e300')})"

    def percent_spec(self):
        text = "%" + self.pick("", "-", "+", " ", "0", "#", "-0", "+0") + self.pick("", "1", "8", "12") + self.pick("", ".0", ".2", ".5") + self.pick(*"dfgesrxXoicEGFa%u")
        return f"'[{text}]' % {self.pick('n', 'neg', 'f', 'g', 'big', 's', 'yes', 'none', '1234567', '0.00001234', '(1,)', 'l', 'd', 'undef', '(s,)', '-1234.5678')}"

    def expr(self, depth=3):
        if depth <= 0:
            return self.atom()
        d = depth - 1
        e = lambda: self.expr(self.r.randint(0, d))  # noqa: E731
        kind = self.r.random()
        if kind < 0.15:
            return self.atom()
        if kind < 0.22:
            return self.collection(d)
        if kind < 0.40:
            return f"{self.paren(e())} | {self.filter(min(d, 1))}"
        if kind < 0.52:
            return self.paren(e()) + self.method(min(d, 1))
        if kind < 0.62:
            return f"{e()} {self.pick('+', '-', '*', '/', '//', '%', '~', '+', '~')} {e()}"
        if kind < 0.68:
            return f"{e()} {self.pick('==', '!=', '<', '>', '<=', '>=', 'in', 'not in')} {e()}"
        if kind < 0.70:
            return f"{e()} {self.pick('<', '<=', '==')} {e()} {self.pick('<', '!=', 'in')} {e()}"
        if kind < 0.75:
            return f"{e()} {self.pick('and', 'or')} {e()}"
        if kind < 0.78:
            return self.pick(f"not {e()}", f"-{self.paren(e())}", f"+{self.paren(e())}", f"({e()})")
        if kind < 0.82:
            return f"{self.paren(e())} is {self.pick('', 'not ')}{self.r.choice(TESTS)}"
        if kind < 0.85:
            return f"{self.paren(e())} is {self.pick('', 'not ')}{self.r.choice(TESTS1)}({e()})"
        if kind < 0.89:
            bound = lambda: self.pick("", "", "1", "-1", "2", "0", "-3", "n", "none")  # noqa: E731
            return f"{self.paren(e())}[{bound()}:{bound()}{self.pick('', '', ':-1', ':2', ':', ':' + bound())}]"
        if kind < 0.93:
            return f"{self.paren(e())}{self.pick('.a', '.b', '.items', '.role', '[0]', '[-1]', '[1]', '[' + self.string() + ']', '.content', '.0', '[n]', '.b.c', '[' + e() + ']')}"
        if kind < 0.96:
            return f"({e()} if {e()}{self.pick(' else ' + e(), ' else ' + e(), '')})"
        if kind < 0.97:
            return self.format_spec()
        if kind < 0.98:
            return self.percent_spec()
        return self.pick(f"range({self.arguments(1, 3, 0)})", f"dict({self.pick('a=1', 'd', 'll', 'd, a=2')})", f"namespace(a={e()}).a", f"range({self.pick('3', '1, 8, 3', '5, 0, -2')}) | list",
                         f"dict.fromkeys({e()}, 1)", "cycler(1, 2).next()", "joiner('x')()", "strftime_now('%Y-%m-%d %b %A %j %U %W %V %G %e %I %p')", f"[{e()}] * 2")

    def suited(self):
        text = lambda: self.pick("s", "t", "u", self.string(), self.string(), "(t ~ s)", "ls[0]")  # noqa: E731
        kind = self.r.random()
        if kind < 0.3:
            return text() + self.method(0) + self.pick("", "", self.method(0), " | " + self.filter(0))
        if kind < 0.5:
            return self.pick("l", "ls", "msgs", "ll", "d", "tree", "u", "range(4)", "em", "d.values()") + " | " + self.filter(0) + self.pick("", "", " | " + self.filter(0), " | tojson")
        if kind < 0.65:
            return text() + " | " + self.filter(0) + self.pick("", " | " + self.filter(0))
        if kind < 0.8:
            return self.pick("n", "neg", "f", "g", "big", self.number(), self.number()) + " | " + self.filter(0)
        if kind < 0.9:
            return self.pick(self.format_spec, self.percent_spec)()
        return f"{self.pick('n', 'neg', 'f', 'g', 'big', self.number())} {self.pick('+', '-', '*', '/', '//', '%', '<', '==', '>=')} {self.pick('n', 'neg', 'f', 'g', 'big', self.number())}"

    def paren(self, text):
        return text if re.fullmatch(r"[\w.]+|'[^']*'|\"[^\"]*\"", text) and not text[0].isdigit() else f"({text})"

    def tag(self, text):
        return self.pick("{%", "{%", "{%-", "{%+") + f" {text} " + self.pick("%}", "%}", "-%}", "+%}")

    def data(self):
        return self.pick("", " ", "\n", "  ", "text ", "\n  ", "a\n\nb", "{ } %", "é\n", " {# c #}\n", "{#- c -#} ", "\n\t{% raw %} {{ x }}\n {% endraw %}\n")

    def body(self, depth, loop=False):
        return "".join(self.data() + self.statement(depth, loop) for _ in range(self.r.randint(1, 3))) + self.data()

    def target(self):
        return self.pick("x", "y", "i", "s", "k")

    def statement(self, depth, loop=False):
        kind = self.r.random()
        if depth <= 0 or kind < 0.35:
            return self.pick("{{", "{{-") + f" {self.expr(self.r.randint(0, 3))} " + self.pick("}}", "-}}")
        d = depth - 1
        t, body = self.tag, lambda inner=False: self.body(d, inner)  # noqa: E731
        if kind < 0.45:
            return t(f"set {self.pick(self.target(), self.target(), 'ns.a', 'a, b', 'ns.b')} = {self.expr(2)}")
        if kind < 0.50:
            return t(f"set {self.target()}{self.pick('', ' | upper', ' | trim | length', ' | replace(' + self.string() + ', x)')}") + body(loop) + t("endset")
        if kind < 0.62:
            middle = self.pick("", t("else") + body(loop), t(f"elif {self.expr(1)}") + body(loop) + t("else") + body(loop))
            return t(f"if {self.expr(2)}") + body(loop) + middle + t("endif")
        if kind < 0.82:
            source = self.pick("l", "ls", "msgs", "d", "d.items()", "ll", "tree", "u", "range(3)", "mixed", "em", "undef", self.expr(2), "d|dictsort", "msgs|selectattr('n')")
            target = self.pick("i", "i", "x", "k, v", "(k, v)", "y")
            inner = self.pick("", "{{ loop.index }}/{{ loop.length }} ", "{{ loop.first }}{{ loop.last }}", "{{ loop.previtem }}|{{ loop.nextitem }}", "{{ loop.cycle('a', 'b') }}",
                              "{{ loop.changed(x) }}", "{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.index0 }}{{ loop.depth }}", self.tag("if loop.index " + self.pick(">", "==") + " 1") + self.tag(self.pick("break", "continue")) + self.tag("endif"),
                              "{{ i }}{{ x }}")
            if self.r.random() < 0.1:
                return t("for node in tree recursive") + "[{{ node.v }}{{ loop.depth0 }}" + inner + "{{ loop(node.kids) }}]" + t("endfor")
            test = self.pick("", "", f" if {self.pick('i', 'x', 'k', 'i is defined', 'loop is defined', self.expr(1))}")
            other = self.pick("", "", t("else") + body())
            return t(f"for {target} in {source}{test}") + inner + body(True) + other + t("endfor")
        if kind < 0.90:
            self.macros += 1
            name = f"m{self.macros}"
            signature = self.pick("", "p", "p, q=1", "p='d', q=p", "x, y=x")
            extra = self.pick("", "{{ varargs }}{{ kwargs }}", "{{ caller() }}", "{{ caller(1) if caller }}", "{{ p }}{{ q }}{{ x }}")
            call = self.pick(f"{{{{ {name}({self.pick('', '1', '1, 2', 'q=3', '*l', '**{}', 'p=1, z=2')}) }}}}", self.tag(f"call{self.pick('', '(c)', '(c=5)')} {name}({self.pick('', '1')})") + "in{{ c }}{{ x }}" + self.tag("endcall"))
            return t(f"macro {name}({signature})") + extra + body() + t("endmacro") + call
        if kind < 0.94:
            return t(f"with {self.pick('x = 1', 'x = s, y = x', 'a = l, i = n')}") + body(loop) + t("endwith")
        if kind < 0.97:
            return t(f"filter {self.pick('upper', 'trim', 'replace(' + self.string() + ', ' + self.string() + ')', 'indent(2)', 'title | trim', 'length')}") + body(loop) + t("endfilter")
        if kind < 0.98:
            return t("generation") + body() + t("endgeneration")
        return self.pick(t("print x, l"), t("set ns = namespace(a=1, b=x)"), t("raw") + "{{ x }} {% if %}" + t("endraw"), t(f"block b{self.r.randint(0, 9999)}") + body() + t("endblock"))

    def template(self):
        head = self.pick("", "{% set ns = namespace(a=1, b=[]) %}", "{%- set ns = namespace() -%}\n")
        kind = self.r.random()
        if kind < 0.55:
            if self.r.random() < 0.6:  # one filter or method on something that it suits: fewer errors, more behaviour
                return "{{ " + self.suited() + " }}|"
            return head + "{{ " + self.expr(self.r.randint(1, 3)) + " }}|"
        return head + self.body(3)


def ours(program, cases):
    lines = [json.dumps({"template": source, "context": CONTEXT, "now": NOW}) for source in cases]
    done = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", errors="surrogatepass")
    if done.returncode != 0:
        sys.exit(f"{program} ended with {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def reference(source):
    try:
        template = compile_template(source)
    except Exception as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {error}"}
    return expected(template, json.loads(json.dumps(CONTEXT)))


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    maker = Maker(random.Random(seed))
    total = wrong = errors = unstable = 0
    while total < count:
        cases = [maker.template() for _ in range(500)]
        for source, answer in zip(cases, ours(program, cases), strict=True):
            theirs = reference(source)
            total += 1
            errors += "error" in theirs
            if "Tried to resolve a name to a reference" in theirs.get("error", ""):
                unstable += 1  # a fault of the reference: it forgets names in the filter of a set block
                continue
            text = theirs.get("text", "")
            if UNSTABLE.search(text) or any(0xD800 <= ord(c) < 0xE000 for c in text):
                unstable += 1
                continue
            # Python's integers have no end; ours have 64 bits and say so.
            if "cannot be sliced" in answer.get("error", "") and "error" not in theirs:
                unstable += 1  # a constant of the wrong type, which the reference folds away before it would fail
                continue
            if "64 bits" in answer.get("error", "") or "64-bit" in answer.get("error", "") or answer.get("kind") == "limit":
                unstable += 1
                continue
            if ("error" in answer) != ("error" in theirs) or answer.get("text") != theirs.get("text"):
                wrong += 1
                print(f"TEMPLATE  {source!r}\nREFERENCE {str(theirs)[:500]}\nOURS      {str(answer)[:500]}\n", flush=True)
    print(f"seed {seed}: {total} templates, {errors} errors of the reference, {unstable} not comparable, {wrong} differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
