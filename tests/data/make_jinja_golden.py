#!/usr/bin/env python3
"""Renders small templates with Jinja as transformers sets it up: the reference of tests/data/jinja.cpp.

    make_jinja_golden.py OUT.json      needs transformers

OUT: {"names": what every template sees, "cases": [{"template", "text" or "error": true}], "chats": [{"template",
"cases": [{"names", "text" or "error", "generation": [begin, end) characters}]}]}. The day is 26 July 2024.
"""
import datetime
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import transformers.utils.chat_template_utils as chat_utils  # noqa: E402


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 12, 0, 0)


chat_utils.datetime = Frozen

NAMES = {
    "t": "Hello, World",
    "u": "  Grüße, 漢字 🙂\t\n",
    "e": "",
    "i": 7,
    "n": -3,
    "f": 2.5,
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": [1, {"x": None}], "items": "key", "C": "é<&>'\"\n\\"},
    "m": [{"role": "user", "n": 2, "in": {"deep": [5, 6]}}, {"role": "assistant", "n": 1}, {"role": "user", "n": 3}],
    "nan": float("nan"),
    "big": 1e16,
    "small": 1e-5,
}

EXPRESSIONS = """
1 + 2 * 3 - 4|1 + 2 * 3 ** 2 ** 2|-2 ** 2|2 ** -1|7 // 2|-7 // 2|7 % 3|-7 % 3|7 % -3|7 / 2|6 / 2|7.5 // 2|-7.5 % 2|0.1 + 0.2
1 / 0|1 % 0|9223372036854775807|1e16|1e15|123456789.125|1e-4|1e-5|big|small|nan|1_000|0x1F|0b101|0o17|1.5e3|2e-7
true + true|yes|no|nil|not yes|not e|i and t|e or i|nil or e|no and 1|1 if yes else 2|1 if no|(1 if no) is defined|t if t else e if e else 0
i == 7.0|yes == 1|"a" == "a"|l == [3, 1, 2]|(1, 2) == [1, 2]|{"a": 1} == {"a": 1.0}|nil == no|zzz == zzz2|1 < 2 < 3|3 > 2 > 2|"a" < "b"|[1, 2] < [1, 3]|1 < "a"|nil < 1|nan < 1|nan == nan
"a" in "abc"|"x" not in "abc"|1 in l|"b" in d|"z" in d|1 in "abc"|"a" in zzz|3 in (1, 2, 3)|not 1 in l
"a" "b" 'c'|"a" ~ 1 ~ nil ~ [1, "x"]|"a" + "b"|"a" + 1|1 + "a"|[1] + [2]|(1,) + (2,)|[1] + (2,)|"ab" * 3|3 * "ab"|[1] * 2|"a" * -1|"a" * 1.0|zzz + "a"|"a" ~ zzz
-f|+i|-t|- -3|-i ** 2|not not i|i is number and not f is integer
t[0]|t[-1]|t[99]|t[1:4]|t[::-1]|t[::2]|t[-3:]|t[:-3]|t[5:2]|u[3]|u[2:9]|l[0]|l[-1]|l[9]|l[1:]|l[::-1]|l[:1]|l[::0]|l["a"]|(1, 2, 3)[1:]|d["b"]|d["z"]|d.b|d.z|d["z"].y|d.z.y|zzz|zzz.a|zzz["a"]|d.a[1].x|d["a"][0]|m.0.role|m[0]["in"].deep[1]|i.x|i[0]|nil.x|nil["x"]
d.items()|d["items"]|d.keys()|d.values()|d.get("b")|d.get("z")|d.get("z", 5)|d.copy()|d.pop("b")|d.update({})|l.append(1)|l.index(1)|l.index(9)|l.count(3)|l.copy()|l.sort()|d.keys() | list|d.items() | list | length|"b" in d.keys()|d.values()[0]
t.upper()|t.lower()|t.title()|"they're bill's".title()|t.capitalize()|t.swapcase()|"ß ﬁ ŉ İ ΑΣ ΑΣΑ".upper()|"ß ﬁ İ ΑΣ ΑΣΑ Σ".lower()|"ǆ ß".title()|"ßa".capitalize()
u.strip()|u.lstrip()|u.rstrip()|"xxaxx".strip("x")|"xyaxy".lstrip("yx")|"a..".rstrip(".")|u.strip(nil)|"\x1fa\x1c".strip()
t.split()|"  a  b c ".split()|"  a  b c ".split(nil, 1)|"a,b,,c".split(",")|"a,b,,c".split(",", 1)|"a,b,,c".rsplit(",", 1)|" a b  c ".rsplit(nil, 1)|" a b  c ".rsplit()|"a".split("")|"".split()|"".split(",")|"a b".split(maxsplit=0)|" a b".split(none, 0)
"a\nb\r\nc\n".splitlines()|"a\nb\n".splitlines(true)|"\n".splitlines()|"a=b=c".partition("=")|"a=b=c".rpartition("=")|"abc".partition("=")|"abc".rpartition("=")
t.startswith("Hell")|t.startswith(("x", "H"))|t.endswith("ld")|t.startswith("W", 7)|t.endswith("o", 0, 5)|t.startswith("", 20)|t.startswith(1)|t.find("o")|t.find("o", 5)|t.rfind("o")|t.find("z")|t.index("z")|t.count("l")|t.count("")|u.find("字")|"aaa".count("aa")
t.replace("l", "L")|t.replace("l", "L", 1)|t.replace("", "-")|"".replace("", "x")|t.replace("l", "", -1)|"aaa".replace("aa", "b")|"héé".replace("", "·", 2)
",".join(w)|",".join(l)|"".join("abc")|t.removeprefix("Hello")|t.removesuffix("World")|t.removesuffix("")|"7".zfill(3)|"-7".zfill(4)|"ab".center(5)|"ab".center(4)|"abc".center(6, "*")|"ab".ljust(4)|"ab".rjust(4, ".")|"ab".rjust(1)
"12".isdigit()|"".isdigit()|"a1".isalnum()|"ab".isalpha()|" \n".isspace()|"AB1".isupper()|"ab1".islower()|"1".islower()|"é".isascii()|"½".isnumeric()|"½".isdigit()|"٣".isdecimal()
"%s and %d" % ("a", 3)|"%s" % 5|"%5.2f|" % 2.345|"%05d" % 42|"%x" % 255|"%%"|"%d%%" % 5|"%r" % "a"|"%s" % [1]|"%(a)s" % {"a": 1}|"%s %s" % "a"|"%s" % (1, 2)|"%-5s|" % "a"|"%5s|" % "a"|"%d" % 3.9|"%e" % 12345.678|"%g" % 0.0001|"%i" % 3
"{} {}".format(1, "a")|"{1} {0}".format("a", "b")|"{x:.2f}".format(x=2.5)|"{:>5}|".format("a")|"{:05d}".format(42)|"{{}}".format()|"{}".format()|"{:d}".format(3)|"{:x^7}".format("mid")|"{:.3}".format("abcdef")|"{}".format(2.0)
t | upper|t | lower|"hello wORLD-foo (bar)" | title|t | capitalize|u | trim|"xax" | trim("x")|7 | string|nil | string|zzz | string|zzz | trim|zzz | upper|7 | trim
t | length|l | length|d | length|7 | length|zzz | length|u | count|l | first|l | last|[] | first|([] | first) is defined|t | first|d | first|zzz | first|(l | map("string")) | first
w | sort|l | sort|l | sort(reverse=true)|w | sort(case_sensitive=true)|m | sort(attribute="n") | map(attribute="n") | list|d | dictsort|d | dictsort(by="value")|{"b": 2, "a": 3} | dictsort(by="value")|{"b": 2, "a": 3} | dictsort(reverse=true)|[1, "a"] | sort
w | join|w | join(", ")|l | join("-")|m | join(",", attribute="role")|m | map(attribute="role") | join(" ")|"abc" | join(".")|[1, nil, true] | join(",")|zzz | join
m | map(attribute="in.deep.0", default="x") | list|m | map("length") | list|w | map("upper") | list|w | map("replace", "a", "Z") | list|l | map("string") | join|w | map("zzz") | list
m | selectattr("role", "equalto", "user") | list | length|m | selectattr("in") | list | length|m | selectattr("in", "defined") | map(attribute="n") | list|m | rejectattr("role", "eq", "user") | map(attribute="n") | list|l | select("odd") | list|l | reject("odd") | list|l | select(">", 1) | list|l | select | list|[0, 1, "", "a"] | select | list|[0, 1] | reject | list|l | select("in", [1, 2]) | list|m | selectattr("n", "ge", 2) | list | length|m | selectattr("zzz.y", "defined") | list
zzz | default("x")|e | default("x")|e | default("x", true)|nil | default("x")|nil | d("x", boolean=true)|d.z | default(5)|t | default("x")|zzz | default
l | list|t | list|d | list|zzz | list|7 | list|range(3) | list|(1, 2) | list|l | reverse | list|t | reverse|d | items | list|zzz | items | list|l | unique | list|["a", "A", "b"] | unique | list|["a", "A"] | unique(true) | list|l | sum|m | sum(attribute="n")|[1.5, 2] | sum|l | max|l | min|[] | max|w | min|m | map(attribute="n") | max|["b", "A"] | max(case_sensitive=true)|m | max(attribute="n")
[1, 2, 3, 4, 5] | batch(2) | list|[1, 2, 3] | batch(2, 0) | list|m | groupby("role") | map("first") | list|m | groupby("role") | length
"7" | int|"7.9" | int|"x" | int|"x" | int(5)|"0x1f" | int(base=16)|7.9 | int|-7.9 | int|nil | int|true | int|zzz | int|" 12 " | int|"7.5" | float|"x" | float|"x" | float(1)|7 | float|-3 | abs|2.5 | abs|2.5 | round|3.5 | round|2.567 | round(2)|2.5 | round(method="ceil")|2.5 | round(method="floor")|7 | round|1234.5 | round(-2)|"1e3" | float
"a\nb\n\nc" | indent|"a\nb" | indent(2, true)|"a\n\nb" | indent(2, blank=true)|"a\nb" | indent("> ")|"" | indent|"foo bar baz qux" | truncate(9)|"foo bar baz qux" | truncate(9, true)|"foo bar baz qux" | truncate(11)|"foo bar baz qux" | truncate(11, false, "...", 0)|"a b-c" | wordcount|u | wordcount|"日本語の 文章、二つ" | wordcount|"naïve cafe\u0301s a\u0301b" | wordcount|"안녕 세상 नमस्ते ٣٤ ½_²" | wordcount|"_ __ ª-º" | wordcount|"x" | center(5)|"%s-%s" | format("a", 1)|"%(a)s" | format(a=5)
"<a>" | e|"<a href='x'>&\"" | escape|("<a>" | safe) ~ "<b>"|("<a>" | safe) + "<b>"|"<b>" + ("<a>" | safe)|("<a>" | escape) | escape|("<a>" | safe) | forceescape|"<a>" | safe | upper|("a" | safe) is escaped|["<a>" | safe]|"<a>" | string | e|("<%s>" | safe) * 2
d | tojson|l | tojson|t | tojson|u | tojson|nil | tojson|yes | tojson|f | tojson|nan | tojson|m | tojson(indent=2)|d | tojson(indent=4)|d | tojson(ensure_ascii=true)|d | tojson(separators=(",", ":"))|d | tojson(sort_keys=true)|[] | tojson(indent=2)|{} | tojson(indent=2)|{1: 2, none: 3, true: 4, 1.5: 5} | tojson|(1, 2) | tojson|zzz | tojson|"a/b\x7f\u2028" | tojson|d | tojson(2)|d | tojson(true, 2)|range(3) | tojson|l | tojson(indent=0)|l | tojson(indent="--")
d|m|l|(1,)|()|[]|{}|["it's", 'say "x"', "both ' and \"", "tab\t", "\x00\u200b", "é"]|range(3)|range(1, 9, 2)|d.b|{"a": (1, [2.0, none])}|m[0].keys()|1 == 1 and "x"
range(5) | list|range(2, 5) | list|range(5, 0, -2) | list|range(1, 2, 0)|range(200000)|dict(a=1, b=2)|dict([("x", 1)])|dict({"a": 1}, b=2)|namespace(a=1).a|strftime_now("%d %B %Y, %A %j")|strftime_now("%Y-%m-%d %H:%M")|raise_exception("no: " ~ t)|zzz()|t()|cycler(1, 2).next()
i is odd|i is even|i is divisibleby 7|i is divisibleby(2)|t is string|i is string|l is sequence|t is sequence|d is sequence|d is mapping|l is mapping|l is iterable|t is iterable|i is iterable|zzz is iterable|nil is none|zzz is none|zzz is defined|t is defined|t is undefined|i is number|yes is number|yes is integer|i is integer|f is float|yes is boolean|yes is true|1 is true|no is false|0 is false|"abc" is lower|"ABC" is upper|range is callable|t is callable|i is sameas 7|t is eq "Hello, World"|i is gt 5|i is lessthan 5|i in [7]|i is in [7]|i is not in [7]|t is not string|i is zzz|d.keys() is sequence|(l | map("string")) is iterable|(l | map("string")) is sequence|"x" is in("xyz")|nil is not none or yes|"safe" is filter|"odd" is test
t.upper().lower()|(t | upper).lower()|t | upper | lower|t.split(", ")[1] | lower|l | map("string") | list | join(",") | length|"a" if i > 5 and t is string else "b"|[x for x in l]|{"a": 1, "b": [1, 2][0]}["b"]|{**d}|(t)(1)|t | zzz|foo.bar.baz is defined|"a" | upper ~ "b" | upper|1 + 2 | string|"1" ~ 2 + 3|not "a" in "b"|(1, 2, 3)[::-1]|[1, 2,]|(1, 2,)|{"a": 1,}
"\\n\n\t\x41\u00e9\U0001F642\101\q\'\""|'it''s'|"a\
b"|" unterminated|1.|.5|1..2|a b|1 +|(|)|[1|{1}|"{{"|'%}'
""".strip("\n")

TEMPLATES = [
    "a\n  {% if yes %}\n  b\n  {% endif %}\n c\n",
    "a\n  {%- if yes -%}\n  b\n  {%- endif -%}\n c\n\n",
    "a  {%+ if yes +%}\n  b\n  {%+ endif %}\n c",
    "x {{- t -}} y {{ t }}\n\nz",
    "  {{ t }}\n  {# c #}\nb {# c\nd -#}  \n e{#- f #}\ng",
    "{% raw %} {{ x }} {% if %} {% endraw %}\nend",
    "a {%- raw -%}  {{ x }}  {%- endraw -%}  b",
    "{% if no %}1{% elif i %}2{% else %}3{% endif %}{% if no %}1{% else %}2{% endif %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }};{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}{% for x in zzz %}x{% else %}none{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if loop.index == 3 %}{% break %}{% endif %}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is sequence else x }}{{ loop.depth0 }}{% endfor %}",
    "{% set x = 1 %}{% for y in l %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1, y='a') %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}",
    "{% if yes %}{% set x = 5 %}{% endif %}{{ x }}{% if no %}{% set q = 5 %}{% endif %}{{ q is defined }}",
    "{% set x %}a{{ i }}b{% endset %}{{ x }}{{ x | length }}{% set y | upper | trim %} abc {% endset %}{{ y }}",
    "{% filter upper %}a{{ t }}{% endfilter %}{% filter replace('a', 'b') | upper %}banana{% endfilter %}",
    "{% with a = 1, b = i %}{{ a }}{{ b }}{% set a = 9 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% macro f(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(1, c=5) }}{{ f() }}{{ f(b=1, a=0) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(z=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f(x) %}<{{ caller() }}{{ x }}>{% endmacro %}{% call f(5) %}in{{ i }}{% endcall %}",
    "{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=7) f() %}{{ a }}{{ b }}{% endcall %}",
    "{% set x = 1 %}{% macro f() %}{{ x }}{{ y }}{% endmacro %}{% set x = 2 %}{% set y = 3 %}{{ f() }}{{ f.name }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1)|length }}",
    "{{ f(1) }}{% macro f(a) %}{{ a }}{% endmacro %}",
    "{% set g = l | map('string') %}{{ g | join }}{{ g | join }}{{ 1 if g }}",
    "{% for x in l | map('string') %}{{ loop.length }}{{ x }}{% endfor %}",
    "{% generation %}a{{ i }}{% endgeneration %}b",
    "{% if yes %}a", "{% endif %}", "{% zzz %}", "{{ a", "{% if %}x{% endif %}", "{{ }}", "{# a", "{% raw %}a", "{% break %}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{% set messages = l %}{{ messages }}{% set true = 1 %}", "{{ {'a': {'b': 1}}.a.b }}{{ {'a': {}} }}",
    "\r\na\r{{ t }}\r\n", "{{ t }}\n", "{{ t }}\n\n", "{%if yes%}a{%endif%}", "{{'}}'}}{{ '{%' }}", "{% if yes: %}x{% endif %}",
    "{{ 1\n+\n2 }}", "{{ l.0 }}{{ m.0.n }}", "{{ 'a'.b.c }}", "{{ t[zzz] }}", "{{ ['a']['0'] }}", "{% set loop = 1 %}{{ loop }}",
    "{% for i in l %}{{ i }}{% endfor %}{{ i }}", "{% include 'x' %}",
]

# Templates in the manner of published ones, in words of their own.
CHATS = {
    "marks": """{%- for m in messages %}
    {%- if m.role == 'assistant' %}
{{- '<|bot|>' }}{% generation %}{{ m.content ~ eos_token }}{% endgeneration %}
    {%- else %}
{{- '<|' ~ m.role ~ '|>' ~ m.content }}
    {%- endif %}
{{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|bot|>' }}{% endif %}""",
    "headers": """{{- bos_token }}
{%- set first = messages[0] %}
{%- if first.role == 'system' %}{% set rest = messages[1:] %}{% set system = first.content | trim %}
{%- else %}{% set rest = messages %}{% set system = 'On ' ~ strftime_now('%d %b %Y') %}{% endif %}
{{- '[[system]]\\n' + system + '[[end]]' }}
{%- for m in rest %}
    {%- if (m['role'] == 'user') != (loop.index0 is even) %}{{ raise_exception('roles must take turns') }}{% endif %}
{{- '[[' + m['role'] + ']]\\n' + m['content'] | trim + '[[end]]' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[[assistant]]\\n' }}{% endif %}""",
    "tools": """{% macro show(f, depth=0) %}{{ '  ' * depth }}{{ f.name }}({% for k, v in f.parameters.properties | dictsort %}{{ k }}: {{ v.type | default('any') }}{{ ', ' if not loop.last }}{% endfor %}){% endmacro %}
{% set ns = namespace(found=false) %}
{% if tools %}
# Tools
{% for tool in tools %}
{{ show(tool.function, loop.index0) }}
{{ tool | tojson }}
{% endfor %}
{% endif %}
{% for m in messages %}
{% if m.content is string %}
{{ m.role }}: {{ m.content.split('</think>')[-1].strip() }}
{% elif m.content is iterable %}
{{ m.role }}: {{ m.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('+') }}
{% endif %}
{% for call in m.tool_calls %}
{% set ns.found = true %}
call {{ call.function.name }} {{ call.function.arguments | tojson(indent=2) }}
{% endfor %}
{% endfor %}
{% if ns.found %}called{% endif %}""",
}


def messages(*turns):
    return [dict(role=role, content=content) for role, content in turns]


TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"properties": {"é": {"type": "int"}, "a": {}}}}}]
CONVERSATIONS = [
    messages(("user", "Hello")),
    messages(("system", " Be brief. "), ("user", "a"), ("assistant", "b\n"), ("user", "c"), ("assistant", "🙂 d")),
    messages(("user", "a"), ("assistant", "")),
    messages(("assistant", "I begin."), ("user", "x")),
    messages(("user", [{"type": "text", "text": "x"}, {"type": "image"}, {"type": "text", "text": "y"}]), ("assistant", "<think>t</think> z")),
    [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"function": {"name": "get", "arguments": {"a": [1, None]}}}]}],
]


def render(template, names):
    compiled = chat_utils._compile_jinja_template(template)
    blocks, spans = [], []
    with compiled.environment.activate_tracker(blocks, spans):
        blocks.extend(())
        for block in compiled.generate(**names):
            blocks.append(block)
    return "".join(blocks), [list(span) for span in spans]


def case(template):
    try:
        return {"template": template, "text": render(template, NAMES)[0]}
    except Exception:
        return {"template": template, "error": True}


def chat_case(template, names):
    try:
        text, spans = render(template, {**names, "bos_token": "<s>", "eos_token": "</s>"})
        return {"names": names, "text": text, "generation": spans}
    except Exception as error:
        return {"names": names, "error": str(error).splitlines()[0]}


cases = [case("{{ " + expression + " }}") for line in EXPRESSIONS.split("\n|") for row in line.split("\n")
         for expression in row.replace(" | ", "\0").split("|") for expression in [expression.replace("\0", " | ")]]
cases += [case(template) for template in TEMPLATES]
chats = [{"template": template, "cases": [
    chat_case(template, {"messages": chat, "add_generation_prompt": prompt, "tools": tools})
    for chat in CONVERSATIONS for prompt in (False, True) for tools in (None, TOOLS)]} for template in CHATS.values()]
with open(sys.argv[1], "w") as out:
    json.dump({"names": NAMES, "cases": cases, "chats": chats}, out, ensure_ascii=False, indent=0)
print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors;", sum(len(c["cases"]) for c in chats), "chats")
