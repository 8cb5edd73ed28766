"""Makes tests/golden/templates/snippets.json: small templates with what jinja2, set up as transformers sets it up, makes of
them. Run with the peers' Python; prints how many there are. Each row is {"template", "context", "output"} (and "regions", byte
ranges of generation blocks, where there are some) or {"template", "context", "error"}: the kind of jinja2's exception.
"""

import json
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

CONTEXT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello, you."},
    ],
    "x": "text",
    "n": 7,
    "f": 2.5,
    "big": 9007199254740993,
    "yes": True,
    "no": False,
    "nil": None,
    "words": ["pear", "Apple", "fig", "apple"],
    "numbers": [3, 1, 2],
    "mixed": [1, "a", None, True, 2.0, {"k": "v'\"q"}],
    "d": {"b": 2, "a": 1, "C": [1, {"z": "y"}], "items": "own"},
    "users": [
        {"name": "Ann", "age": 30, "address": {"city": "Oslo"}},
        {"name": "bob", "age": 25, "address": {"city": "Rome"}},
        {"name": "Cid", "age": 30, "address": {"city": "oslo"}},
    ],
    "pairs": [["a", 1], ["b", 2]],
    "tree": [{"v": "1", "c": [{"v": "1.1", "c": []}, {"v": "1.2", "c": [{"v": "1.2.1", "c": []}]}]}, {"v": "2", "c": []}],
    "uni": "Straße ÉCLAIR ΣΑΣ naïve 😀",
    "quote": "it's \"q\" \\ \t\n\x7f\u00a0é\u2028",
    "html": "<a href='x'>&\"</a>",
    "lines": "one\ntwo\n\nthree",
    "spaced": "  a  b \n",
}

WHITESPACE = [
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}\n  b\n  {% endif %}\n  c\n\n",
    "a\n  {%- if yes -%}\n  b\n  {%- endif -%}\n  c",
    "a\n  {%+ if yes %}\n  b\n  {%+ endif %}\n  c",
    "a\n  {% if yes +%}\n  b\n  {% endif +%}\n  c",
    "  {{ x }}  \n  {{- x -}}  \n  {{ x }}",
    "  {{+ x }}\n",
    "a {# note #} b\n{# whole line #}\nc\n  {#- both -#}  \nd",
    "a\n   {# indented #}\nb {#+ kept #}\nc{# plus +#}\nd",
    "x{# {{ not }} {% these %} #}y{#-#}z",
    "{% raw %}{{ x }} {% if %} {# c #}{% endraw %}!",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a {%- raw -%}  {{ x }}  {%- endraw -%} b",
    "{%- raw %} {{ x }} {%+ endraw %}\nz",
    "{{ x }}{% if yes %}\n\n1{% endif %}\n\n",
    "a\r\nb\r{% if yes %}\r\nc{% endif %}\r\n",
    "tail\n\n",
    "\n",
    "",
    "{{ '{{' }}{{ '}}' }}{{ {'a': {'b': 1}} }}",
    "{{ {'a':1}}}",
    "\t{% set a = 1 %}\n{{ a }}\t{% set a = 2 %}\n{{ a }}",
    "a\u00a0{%- if yes %}b{% endif %}\u00a0\u00a0{% if yes %}c{% endif %}",
    "\n  {% if yes %}x{% endif %}  {% if yes %}y{% endif %}  \n",
    "{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\nend",
    "{%if yes%}tight{%endif%}{{x}}",
    "{% if yes: %}colon{% endif %}",
]

LITERALS = [
    "{{ 'a\\nb\\t\\x41\\u00e9\\'\\\"\\\\\\q\\101\\0' }}|",
    "{{ \"it's\" 'joined' \"up\" }}",
    "{{ 'two\nlines' }}",
    "{{ 'con\\\ntinued' }}",
    "{{ 1_000 + 0x1F + 0b101 + 0o17 }} {{ 1.5e3 }} {{ 1e-7 }} {{ 12_3.4_5 }} {{ 1E5 }}",
    "{{ 1.0 }} {{ 100000000000000000.0 }} {{ 1e16 }} {{ 123456789012345.6 }} {{ 0.1 + 0.2 }} {{ 1e22 }} {{ 0.0001 }} {{ 0.00001 }}",
    "{{ true }} {{ True }} {{ false }} {{ none }} {{ None }} {{ [true, none] }}",
    "{{ [] }} {{ [1, 'a', [2.0, none]] }} {{ () }} {{ (1,) }} {{ (1, 2) }} {{ {} }} {{ {'a': 1, 2: [3], none: true} }}",
    "{{ [1, 2,] }} {{ {'a': 1,} }}",
    "{{ {'a': 1, 'a': 2, 1: 'x', true: 'y', 1.0: 'z'} }}",
    "{{ 1, 2 }} {{ 'a', }}",
    "{{ mixed }} {{ d }} {{ quote }} {{ [quote] }}",
    "{{ [\"it's\", 'say \"x\"', 'both \\' and \"'] }}",
    "{{ ['\\x00\\x1f\\x7f\\x80\\u200b\\ue000\\U0001f600é'] }}",
    "{{ big }} {{ -big }} {{ n }} {{ f }} {{ yes }} {{ nil }}",
    "{{ -0.0 }} {{ 5.0 // 2 }} {{ 1e308 * 10 }} {{ -(1e308 * 10) }}",
    "{{ messages }}",
    "{{ add_generation_prompt }} {{ tools }} {{ documents }}",
    "{{ bos_token }}{{ eos_token is defined }}",
]

ARITHMETIC = [
    "{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 % -3 }}",
    "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 2.0 ** 0.5 }}",
    "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 1 / 3 }} {{ -7.5 // 2 }}",
    "{{ - n }} {{ + n }} {{ -f }} {{ - - n }} {{ -yes }} {{ +yes }}",
    "{{ 'a' + 'b' }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [0] * 3 }} {{ 'a' * -1 }}|",
    "{{ yes + yes }} {{ yes * 2.5 }} {{ true + 1 }}",
    "{{ 1 ~ 2 ~ none ~ [1] ~ missing ~ 'x' }} {{ 1 + 2 ~ 3 + 4 }}",
    "{{ 'x' ~ 1 + 2 }}",
    "{{ '%s and %s' % ('a', 1) }} {{ '%d%%' % 5 }} {{ '%5.2f|%-5s|%05d' % (2.5, 'a', 42) }} {{ '%(k)s' % {'k': 'v'} }} {{ '%r' % 'q' }} {{ '%x' % 255 }}",
    "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1.0 / 0 }}",
    "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ none + 1 }}", "{{ [1] + (2,) }}", "{{ -'a' }}", "{{ {} + {} }}", "{{ 'a' - 'b' }}",
    "{{ missing + 1 }}", "{{ 1 + missing }}", "{{ -missing }}", "{{ missing ** 2 }}", "{{ 'a' + missing }}",
]

COMPARISONS = [
    "{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == false }} {{ [1, 2] == [1, 2.0] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1.0} }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 != 1 }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }}",
    "{{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 1 in [1.0] }} {{ 'a' in d }} {{ 1 in {1: 2} }} {{ '' in 'x' }} {{ 'a' in ['b'] }} {{ missing in [1] }}",
    "{{ 1 in missing }} {{ missing == missing2 }} {{ missing == none }} {{ missing != 1 }} {{ not missing }}",
    "{{ not 1 == 2 }} {{ not true or true }} {{ 1 or 2 }} {{ 0 or 'b' }} {{ 1 and 0 }} {{ '' and 1 }}| {{ none or missing or 'z' }}",
    "{{ 'a' if yes }} {{ 'a' if no }}| {{ 'a' if no else 'b' if no else 'c' }} {{ ('a' if yes else 'b') ~ 'd' }}",
    "{{ 1 if missing is defined else missing2 is defined }}",
    "{{ (missing if no) is defined }} {{ ('a' if no) is undefined }}",
    "{{ 1 < 'a' }}", "{{ none < 1 }}", "{{ {} < {} }}", "{{ missing < 1 }}", "{{ 1 in 5 }}", "{{ 1 in 'abc' }}", "{{ [1] in {} }}",
    "{{ 1 < 2 == true }} {{ 1 in [1] == true }}",
    "{{ uni > 'Strasse' }} {{ 'é' > 'z' }} {{ '😀' > '\uffff' }}",
]

SUBSCRIPTS = [
    "{{ words[0] }} {{ words[-1] }} {{ words[9] }}| {{ words['0'] }}| {{ x[0] }} {{ x[-1] }} {{ x[9] }}| {{ uni[4] }} {{ uni[-1] }}",
    "{{ d['a'] }} {{ d.a }} {{ d['items'] }} {{ d.C[1].z }} {{ d['nope'] }}| {{ d.nope }}|",
    "{{ words.0 }} {{ pairs.1.0 }}",
    "{{ words[1:] }} {{ words[:-1] }} {{ words[::-1] }} {{ words[::2] }} {{ words[10:] }} {{ words[-2:] }} {{ words[3:0:-1] }} {{ words[1:3] }}",
    "{{ x[1:] }} {{ x[::-1] }} {{ uni[::-1] }} {{ uni[2:8:2] }} {{ x[:2] ~ x[-1:] }} {{ uni[-3:] }}",
    "{{ (1, 2, 3)[1:] }} {{ range(10)[2:5] | list }} {{ range(10)[::-3] | list }} {{ words[none:2] }}",
    "{{ d.C[0] }} {{ {'a': {'b': 1}}.a.b }} {{ {1: 'one'}[1] }} {{ {(1, 2): 't'}[1, 2] }} {{ {none: 1}[none] }}",
    "{{ nil.foo }}|{{ n.foo }}|{{ f['x'] }}|{{ x.foo }}|{{ words.foo }}|{{ yes[0] }}|",
    "{{ missing.foo }}", "{{ missing['foo'] }}", "{{ missing[0] }}", "{{ d.nope.nope }}", "{{ nil.a.b }}", "{{ missing[1:] }}", "{{ n[1:] }}", "{{ words[::0] }}", "{{ words['a':] }}", "{{ nil[1:] }}",
    "{{ d.items() | list }}", "{{ d.keys() | list }} {{ d.values() | list }}",
    "{{ d.items is callable }} {{ d['items'] is callable }} {{ d.get is defined }} {{ d.nope is defined }} {{ words.append is defined }} {{ x.upper is defined }} {{ x.encode is defined }}",
    "{{ words.append(1) }}", "{{ d.update({}) }}", "{{ d.pop('a') }}", "{{ x.__class__ }}|{{ x.__class__ is defined }}", "{{ x.__class__.__name__ }}",
    "{{ d.get('a') }} {{ d.get('zz') }} {{ d.get('zz', 5) }} {{ d.copy() == d }}",
    "{{ [] ['a'] }}| {{ {}[[]] }}|",
    "{{ messages[0]['role'] }}{{ messages[-1].content[:5] }}{{ messages[1:][0].role }}",
    "{{ words[n - 6:] }} {{ words[(1 if yes else 2)] }} {{ words[true] }}",
]

STATEMENTS = [
    "{% if no %}1{% elif n > 5 %}2{% else %}3{% endif %}{% if nil %}4{% elif missing %}5{% else %}6{% endif %}",
    "{% if 1, 2 %}t{% endif %}",
    "{% for w in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {{ w }};{% endfor %}",
    "{% for w in words %}{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }} {% endfor %}{{ loop is defined }}",
    "{% for w in words %}{{ loop.cycle('a', 'b') }}{{ loop.changed(w | lower | first) }} {% endfor %}",
    "{% for a, b in pairs %}{{ a }}={{ b }} {% endfor %}{% for k, v in d.items() %}{{ k }}:{{ v }} {% endfor %}",
    "{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}{% for c in 'aé' %}[{{ c }}]{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}{% for i in missing %}x{% else %}undefined{% endfor %}",
    "{% for i in range(10) if i % 2 == 0 %}{{ i }}{{ loop.index }}{{ loop.last }} {% endfor %}",
    "{% for i in range(3) if i > 5 %}x{% else %}none{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in tree recursive %}{{ loop.depth }}{{ i.v }}{% if i.c %}({{ loop(i.c) }}){% endif %}{% endfor %}",
    "{% for i in tree recursive %}{{ loop.depth0 }}{{ i.v }}{% for j in i.c %}[{{ j.v }}]{% endfor %} {% endfor %}",
    "{% set a = 1 %}{% for i in range(3) %}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }}",
    "{% set ns = namespace(a=1, b='x') %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}",
    "{% set ns = namespace({'k': 1}) %}{{ ns.k }}{{ ns['k'] }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = [3, 4] %}{{ c + d2 }}{% set e = 1, 2 %}{{ e }}",
    "{% set a, ns2 = 1, namespace() %}{% set ns2.x, b = 5, 6 %}{{ ns2.x + b }}",
    "{% set t %}block {{ n }}{% endset %}[{{ t }}]{% set u | upper | trim %} up {{ x }} {% endset %}[{{ u }}]",
    "{% if yes %}{% set inner = 5 %}{% endif %}{{ inner }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% set a = 2 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% filter upper %}abc {{ x }}{% endfilter %}{% filter replace('a', 'b') | trim %} aa {% endfilter %}",
    "{% print x %}",
    "{% macro m(a, b=2, c=a) %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=5, a=4) }}{{ m() }}",
    "{% macro m(a, b='d') %}{{ a }}{{ b }}{{ kwargs }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3, 4, z=5) }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in {{ x }}{% endcall %}",
    "{% macro m(list) %}{% for i in list %}{{ caller(i, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) m(words) %}{{ i }}:{{ v }} {% endcall %}",
    "{% macro fact(k) %}{{ k * (fact(k - 1) | int) if k > 1 else 1 }}{% endmacro %}{{ fact(5) }}",
    "{% set v = 'outer' %}{% macro m() %}{{ v }}{% set v = 'inner' %}{% endmacro %}{{ m() }}{{ v }}",
    "{% macro m() %}{{ late }}{% endmacro %}{% set late = 1 %}{{ m() }}",
    "{% for i in range(2) %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% set y = 1 %}{% for i in [0] %}{% macro m() %}{{ y }}{{ i }}{% endmacro %}{% set y = 2 %}{{ m() }}{% endfor %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }}",
    "{% macro m() %}a{% endmacro %}{{ m() ~ m() | upper }}{{ [m()] }}",
    "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(q=1) }}", "{% macro m() %}{% endmacro %}{% call m() %}x{% endcall %}",
    "{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}",
    "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}",
    "{% set foo.bar = 1 %}", "{% set x.bar = 1 %}", "{% set ns = namespace(_a=1) %}", "{% set ns = namespace() %}{% set ns._b = 1 %}",
    "{% set a, b = 1 %}", "{{ loop(1) }}", "{% for i in [1] %}{{ loop([2]) }}{% endfor %}", "{{ foo() }}", "{{ x() }}", "{{ d.nope() }}", "{{ n.foo() }}",
    "{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "{% set j = joiner('|') %}{% for w in words %}{{ j() }}{{ w }}{% endfor %}",
    "{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict(pairs) }} {{ dict() }}",
    "{{ range(5) | list }} {{ range(2, 8, 3) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }} {{ range(1, 9, 2) }} {{ range(3) | length }} {{ range(0) | list }}",
    "{{ range(100001) | length }}", "{{ range(0, 5, 0) }}", "{{ range('a') }}",
    "{% set args = [1, 2] %}{% macro m(a, b, c=0) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*args) }}{{ m(1, *[2], **{'c': 3}) }}{{ m(**{'a': 1, 'b': 2}) }}",
    "{% macro m(a) %}{{ a }}{{ kwargs }}{{ caller() }}{% endmacro %}{% call m(*[1], **{'c': 3, 'd': 4}) %}in{% endcall %}",
    "{% set a %}{% for i in range(3) %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endfor %}{% endset %}{{ a }}",
    "{% for i in range(3) %}{% set t %}{{ i }}{% if i == 1 %}{% break %}{% endif %}{% endset %}{{ t }}{% endfor %}",
]

SANDBOX = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ x['__class__'] }}|{{ x | attr('__class__') }}|{{ words | map(attribute='__class__') | list }}",
    "{{ '{0.__class__}'.format(x) }}", "{{ '{0.__class__.__mro__}'.format(x) }}", "{{ '{x.__init__.__globals__}'.format(x=range) }}",
    "{{ '{0[_a]}'.format({'_a': 1}) }}",
    "{{ ('{0.__class__}' | format)('x') }}", "{{ 'a'.format.__self__ }}", "{{ raise_exception.__globals__ }}",
    "{{ range.__class__ }}", "{{ dict.__base__ }}", "{{ namespace.__init__ }}", "{% set n = namespace(_a=1) %}", "{% set n = namespace() %}{% set n._a = 1 %}",
    "{% set n = namespace({'__class__': 1}) %}", "{% set n = namespace(a=1) %}{{ n.__dict__ }}|{{ n._Namespace__attrs }}",
    "{% for i in [1] %}{{ loop._iterator }}|{{ loop.__class__ }}{% endfor %}", "{% macro m() %}{% endmacro %}{{ m.__globals__ }}|{{ m._func }}",
    "{{ words.append(1) }}", "{{ words.clear() }}", "{{ words.extend([1]) }}", "{{ words.insert(0, 1) }}", "{{ words.sort() }}", "{{ words.reverse() }}",
    "{{ words.remove('fig') }}", "{{ d.popitem() }}", "{{ d.clear() }}", "{{ d.setdefault('q', 1) }}", "{{ words.append is defined }}",
    "{{ words['append'](1) }}", "{{ (words | attr('append'))(1) }}", "{{ users | map(attribute='pop') | list }}", "{{ cycler.__init__ }}",
    "{{ config }}", "{{ self._TemplateReference__context }}", "{{ range(100001) | length }}", "{{ 'a' * 3 }}",
    "{{ 'a'.__add__('b') }}", "{{ n.__class__(1) }}", "{{ ().__class__ is defined }}",
]
SELF = [
    "{{ self.x }}|{{ self is defined }}|{{ self['x'] is undefined }}|{{ self }}|{{ [self] }}",
    "{% if self %}yes{% endif %}{{ self == self }}{% set self = 3 %}{{ self }}",
    "{{ self() }}", "{{ self | length }}", "{% for a in self %}{% endfor %}", "{{ self.x.y }}",
]
HIDDEN = [
    # A name that a scope sets is undefined in the scopes inside until it is set.
    "{% for i in [1] %}[{{ x }}]{% endfor %}{% set x = 1 %}{% for i in [1] %}[{{ x }}]{% endfor %}",
    "{{ x }}{% for i in [1] %}[{{ x }}]{% endfor %}{% set x = 1 %}",
    "{% macro m() %}[{{ x }}]{% endmacro %}{{ m() }}{% set x = 1 %}{{ m() }}",
    "{% if no %}{% set x = 1 %}{% endif %}{{ x }}{% for i in [1] %}{{ x }}{% endfor %}",
    "{% for i in [1] %}[{{ x }}]{% endfor %}{% if yes %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% for i in [1] %}[{{ x }}]{% endfor %}{% if yes %}{% set x = 1 %}{% elif n %}{% set x = 3 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set y %}{{ x }}{% endset %}[{{ y }}]{% set x %}new{% endset %}{{ x }}",
    "{% with z = x %}[{{ z }}{{ x }}]{% endwith %}{% set x = 1 %}",
    "{% for i in [1, 2] %}{% for j in [1] %}[{{ x }}]{% endfor %}{% set x = i %}{% endfor %}{{ x }}",
    "{% for i in [1, 2] %}[{{ x }}]{% for j in [1] %}[{{ x }}]{% endfor %}{% set x = i %}{{ x }}{% endfor %}",
    "{% for x in [1] %}{{ x }}{% endfor %}{{ x }}{% for i in [1] %}{{ x }}{% endfor %}",
    "{% macro m(x=n) %}{% for i in [1] %}{{ x }}{{ n }}{% endfor %}{% set n = 2 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m() %}{% macro k() %}[{{ x }}]{% endmacro %}{{ k() }}{% set x = 5 %}{{ k() }}{% endmacro %}{{ m() }}{{ x }}",
    "{% filter upper %}{{ x }}{% endfilter %}{% generation %}[{{ x }}]{% endgeneration %}{% set x = 1 %}",
    "{% for i in [] %}{% else %}{{ x }}{% endfor %}{% set x = 1 %}{% for i in [] %}{% else %}{{ x }}{% endfor %}",
    "{% for i in [1] if x %}a{% else %}b{% endfor %}{% set x = 1 %}",
    "{% for w in x %}{{ w }}{% endfor %}{% set x = 1 %}",
    "{% set x = x ~ '!' %}{{ x }}{% for i in [1] %}{{ x }}{% endfor %}",
    "{% if no %}{{ x }}{% else %}{% for i in [1] %}[{{ x }}]{% endfor %}{% endif %}{% set x = 1 %}",
    "{% for i in [1] %}{{ messages | length }}{% endfor %}{% set messages = [] %}{{ messages | length }}",
    "{% macro x() %}m{% endmacro %}{% for i in [1] %}{{ x() }}{% endfor %}",
    "{% for i in [1] %}[{{ x }}]{% endfor %}{% macro x() %}m{% endmacro %}",
    "{% call(v) wrap() %}{{ v }}{{ x }}{% endcall %}{% macro wrap() %}{{ caller(1) }}{% endmacro %}",
    "{% macro wrap() %}{{ caller(1) }}{% endmacro %}{% call(v) wrap() %}{{ v }}[{{ x }}]{% endcall %}{% set x = 2 %}",
]

GENERATION = [
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}",
    "é{% generation %}ü{{ x }}{% endgeneration %}a{%- generation -%}\n b {% endgeneration %}c",
    "{% set v = 1 %}{% generation %}{% set v = 2 %}{{ v }}{% endgeneration %}{{ v }}",
    "{% generation %}{% endgeneration %}",
]

TESTS = [
    "{{ x is defined }} {{ missing is defined }} {{ missing is undefined }} {{ x is not defined }} {{ nil is none }} {{ d.zz is none }}",
    "{{ x is string }} {{ n is string }} {{ d is mapping }} {{ words is mapping }} {{ n is number }} {{ yes is number }} {{ f is float }} {{ n is integer }} {{ yes is integer }} {{ yes is boolean }} {{ 1 is boolean }}",
    "{{ x is iterable }} {{ n is iterable }} {{ words is iterable }} {{ d is iterable }} {{ nil is iterable }} {{ missing is iterable }} {{ range(3) is iterable }} {{ (words | map('upper')) is iterable }}",
    "{{ x is sequence }} {{ words is sequence }} {{ d is sequence }} {{ n is sequence }} {{ missing is sequence }} {{ range(3) is sequence }} {{ d.items() is sequence }} {{ (words | map('upper')) is sequence }}",
    "{{ yes is true }} {{ no is false }} {{ 1 is true }} {{ 0 is false }} {{ nil is false }} {{ none is none }}",
    "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 'a' is lower }} {{ 'A1' is upper }} {{ '1' is upper }}",
    "{{ 1 is in [1, 2] }} {{ 'a' is in 'abc' }} {{ 3 is not in [1] }} {{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is ge(2) }} {{ 1 is lt 0 }} {{ 1 is le 1 }} {{ 1 is sameas 1 }} {{ true is sameas true }}",
    "{{ 'upper' is filter }} {{ 'zz' is filter }} {{ 'odd' is test }} {{ range is callable }} {{ x is callable }} {{ (x | safe) is escaped }} {{ x is escaped }}",
    "{{ x is string and n is number or false }} {{ not x is string }} {{ x is string == true }}",
    "{% if x is defined and x is not none and x %}1{% endif %}{{ x is defined if yes else 2 }}",
    "{{ (n + 1) is number }}",
    "{{ x | length is gt 3 }} {{ words | length == 4 }}",
    "{{ 'a' is odd }}", "{{ none is divisibleby 2 }}", "{{ x is zz }}", "{{ x is string is string }}", "{{ missing is odd }}",
    "{% if no %}{{ x is zz }}{% endif %}ok", "{% if yes %}{{ x is zz }}{% endif %}",
    "{{ d.C is sequence and d.C is not mapping and d.C is not string }}",
]

FILTERS_TEXT = [
    "{{ uni | upper }} {{ uni | lower }} {{ uni | capitalize }} {{ uni | title }} {{ \"it's a-b (c)\" | title }} {{ n | upper }} {{ missing | upper }}|{{ nil | lower }}",
    "{{ spaced | trim }}|{{ 'xxaxx' | trim('x') }}|{{ n | trim }}|{{ missing | trim }}|{{ '\u00a0a\u3000' | trim }}|",
    "{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abc' | replace('', '-') }} {{ 121 | replace(1, 3) }} {{ 'aaa' | replace('a', 'b', count=1) }} {{ '' | replace('', 'x') }}",
    "{{ lines | indent }}\n{{ lines | indent(2, true) }}\n{{ lines | indent(width=1, blank=true) }}\n{{ lines | indent('> ', first=true) }}|{{ '' | indent }}|{{ 'a\n' | indent }}|",
    "{{ 'abc' | center(8) }}|{{ 'abcd' | center(9) }}|{{ 'abc' | center(2) }}|",
    "{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} {{ 'foo bar baz qux' | truncate(11) }} {{ 'foo bar baz qux' | truncate(11, false, '..', 0) }}",
    "{{ 'one two  three-four' | wordcount }} {{ uni | wordcount }}",
    "{{ 'a b/c?d=é&' | urlencode }} {{ {'a b': 'c/d', 'e': 1} | urlencode }}",
    "{{ html | escape }} {{ html | e }} {{ html | safe }} {{ (html | safe) | escape }} {{ (html | safe) | forceescape }} {{ ('a' | safe) + '<b>' }} {{ '<' + ('a' | safe) }} {{ ('<' | safe) ~ '<' }} {{ [x | safe] }}",
    "{{ x | string }} {{ n | string }} {{ nil | string }} {{ [1, 'a'] | string }} {{ missing | string }}| {{ 1.0 | string }}",
    "{{ '%s-%d' | format('a', 3) }} {{ '%(a)s' | format(a=1) }}",
    "{{ missing | default('d') }} {{ nil | default('d') }} {{ nil | default('d', true) }} {{ '' | d('e', boolean=true) }} {{ x | default }} {{ missing | default }}| {{ missing.y | default(1) if no else 2 }} {{ d.nope | default([]) }}",
    "{{ 'a' | nope }}", "{% if no %}{{ 'a' | nope }}{% endif %}ok", "{% if yes %}{{ 'a' | nope }}{% endif %}", "{{ 'a' | nope if no else 'b' }}", "{% for i in [] %}{{ i | nope }}{% endfor %}", "{% if no %}{% for i in [] %}{{ i | nope }}{% endfor %}{% endif %}",
    "{{ n | indent }}", "{{ x | replace('a') }}", "{{ x | upper(1) }}", "{{ x | default(zz=1) }}", "{{ 'ab' | truncate(1) }}",
    "{{ missing.y | default(1) }}",
]

FILTERS_NUMBERS = [
    "{{ '42' | int }} {{ '42.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 3.9 | int }} {{ -3.9 | int }} {{ true | int }} {{ none | int }} {{ ' 7 ' | int }} {{ '0x1f' | int(base=16) }} {{ '1_0' | int }} {{ '-5' | int }} {{ '1e2' | int }} {{ '' | int }}",
    "{{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2) }} {{ 3 | float }} {{ 'inf' | float }} {{ '1e3' | float }} {{ none | float }} {{ '-.5' | float }}",
    "{{ -5 | abs }} {{ 2.5 | abs }} {{ (-2.5) | abs }} {{ -yes | abs }}",
    "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42 | round }} {{ 2.1 | round(method='ceil') }} {{ 2.9 | round(0, 'floor') }} {{ 2.123 | round(1, 'ceil') }} {{ 42.55 | round(1) }}",
    "{{ numbers | sum }} {{ users | sum('age') }} {{ [] | sum }} {{ [1.5, 2] | sum(start=10) }} {{ numbers | min }} {{ numbers | max }} {{ words | min }} {{ words | max }} {{ words | max(true) }} {{ [] | min }}| {{ users | max(attribute='age') }}",
    "{{ missing | int }}", "{{ missing | float }}", "{{ 'a' | abs }}", "{{ missing | abs }}", "{{ words | sum }}", "{{ 'a' | round }}", "{{ mixed | max }}",
    "{{ '99999999999' | int * 1000 }}",
]

FILTERS_SEQUENCES = [
    "{{ words | length }} {{ x | count }} {{ d | length }} {{ uni | length }} {{ missing | length }} {{ d.items() | length }}",
    "{{ words | first }} {{ words | last }} {{ [] | first }}| {{ x | first }} {{ x | last }} {{ d | first }} {{ missing | first }}| {{ range(4) | last }} {{ uni | last }} {{ d | last }}",
    "{{ words | join }} {{ words | join(', ') }} {{ mixed | join('|') }} {{ users | join(',', attribute='name') }} {{ x | join('-') }} {{ [] | join('x') }}| {{ missing | join }}| {{ users | join('/', 'address.city') }} {{ numbers | join(1) }} {{ d | join }}",
    "{{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ numbers | sort(reverse=true) }} {{ words | sort(true) }} {{ users | sort(attribute='age') | map(attribute='name') | list }} {{ users | sort(attribute='age,name', reverse=true) | join(',', 'name') }}",
    "{{ {'b': 1, 'A': 3, 'c': 2} | dictsort(true) }} {{ {'b': 1, 'A': 3, 'c': 2} | dictsort(by='value') }} {{ {'b': 1, 'A': 3} | dictsort(reverse=true) }}",
    "{{ words | unique | list }} {{ words | unique(true) | list }} {{ users | unique(attribute='age') | map(attribute='name') | list }} {{ [1, 1.0, true, 2] | unique | list }}",
    "{{ words | reverse | list }} {{ x | reverse }} {{ numbers | reverse | first }} {{ uni | reverse }} {{ range(3) | reverse | list }}",
    "{{ x | list }} {{ d | list }} {{ (1, 2) | list }} {{ range(3) | list }} {{ missing | list }} {{ d.items() | list }}",
    "{{ d | items | list }} {{ missing | items | list }} {% for k, v in d | items %}{{ k }}{% endfor %}",
    "{{ words | map('upper') | list }} {{ users | map(attribute='name') | join(',') }} {{ users | map(attribute='zz', default='-') | list }} {{ users | map(attribute='address.city') | list }} {{ numbers | map('string') | list }} {{ pairs | map('first') | list }} {{ pairs | map(attribute=1) | list }} {{ pairs | map(attribute='0') | list }} {{ ['a'] | map('replace', 'a', 'b') | list }} {{ ['1', 'z'] | map('int', default=9) | list }}",
    "{{ numbers | select('gt', 1) | list }} {{ mixed | select | list }} {{ mixed | reject | list }} {{ mixed | select('string') | list }} {{ numbers | reject('odd') | list }} {{ words | select('in', ['fig']) | list }} {{ words | select('equalto', 'fig') | first }}",
    "{{ users | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ users | rejectattr('age', 'gt', 26) | map(attribute='name') | list }} {{ users | selectattr('zz') | list }} {{ users | selectattr('zz', 'undefined') | list | length }} {{ messages | selectattr('role', '==', 'user') | list }} {{ users | selectattr('address.city', 'eq', 'Rome') | list | length }}",
    "{% for k, l in users | groupby('age') %}{{ k }}:{{ l | map(attribute='name') | join(',') }} {% endfor %}{% for g in users | groupby('address.city') %}{{ g.grouper }}={{ g.list | length }} {% endfor %}{{ users | groupby('age') | length }}",
    "{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }} {{ [1] | slice(3) | list }}",
    "{{ users | attr('zz') }}| {{ x | attr('upper') is callable }} {{ d | attr('a') }}|",
    "{% if words | select('equalto', 'nope') %}generators are true{% endif %}{{ (words | map('upper'))[0] }}|",
    "{% set g = numbers | map('string') %}{{ g | first }}{{ g | list }}{{ g | list }}",
    "{{ words | map('upper') | length }}", "{{ words | map('upper') | last }}", "{{ n | length }}", "{{ nil | length }}", "{{ nil | first }}", "{{ n | join }}", "{{ n | list }}", "{{ words | items | list }}", "{{ words | dictsort }}", "{{ mixed | sort }}", "{{ words | map('nope') | list }}", "{{ words | select('nope') | list }}", "{{ words | map | list }}", "{{ users | selectattr | list }}", "{{ users | map(attribute='a.b') | list }}",
    "{{ [[1], {}, none] | map('length') | list }}",
    "{{ d.keys() }} {{ d.values() }} {{ {'a': 1}.items() }}",
    "{{ users | map(attribute='address') | map(attribute='city') | unique | list }}",
]

JSON = [
    "{{ d | tojson }}\n{{ mixed | tojson }}\n{{ quote | tojson }}\n{{ uni | tojson }}\n{{ html | tojson }}\n{{ big | tojson }} {{ f | tojson }} {{ 1.0 | tojson }} {{ 1e100 | tojson }} {{ nil | tojson }}",
    "{{ d | tojson(indent=2) }}\n{{ d | tojson(indent=0) }}\n{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=2) }}\n{{ [[], {}, [1]] | tojson(indent='\t') }}",
    "{{ d | tojson(ensure_ascii=true) }} {{ uni | tojson(ensure_ascii=True) }} {{ quote | tojson(true) }}",
    "{{ d | tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': [2]} | tojson(sort_keys=true, indent=1) }}",
    "{{ (1, 'a') | tojson }} {{ {1: 'a', none: 2, true: 3, 1.5: 4} | tojson }} {{ (x | safe) | tojson }} {{ '\\x00\\x1f/' | tojson }}",
    "{{ missing | tojson }}", "{{ [missing] | tojson }}", "{{ range(2) | tojson }}", "{{ {(1, 2): 3} | tojson }}", "{{ x | tojson(zz=1) }}", "{{ words | map('upper') | tojson }}",
    "{{ messages | tojson }}",
    "{{ [1e16, 1e15, 123456.789, 1e-5, 0.0001, 5e-324, 1.7976931348623157e308, -0.0] | tojson }}",
]

METHODS = [
    "{{ spaced.strip() }}|{{ spaced.lstrip() }}|{{ spaced.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abc'.lstrip('ab') }}|{{ 'abc'.rstrip('cb') }}|{{ 'a'.strip(none) }}",
    "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a--b'.split('--')[-1] }} {{ 'a b c'.split(maxsplit=1) }} {{ 'é,ü'.split(',') }}",
    "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.rsplit(none, 1) }} {{ 'a,b'.rsplit(',') }} {{ 'abc'.rsplit('x') }} {{ lines.splitlines() }} {{ 'a\\r\\nb\\n'.splitlines(true) }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.endswith('b', 0, 2) }} {{ ''.startswith('') }} {{ 'abc'.startswith('', 5) }}",
    "{{ uni.upper() }} {{ uni.lower() }} {{ uni.title() }} {{ uni.capitalize() }} {{ uni.swapcase() }} {{ \"they're ok\".title() }} {{ 'ﬁne ǆ'.upper() }}",
    "{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '.') }} {{ 'abc'.replace('b', '') }}",
    "{{ ','.join(['a', 'b']) }} {{ ''.join([]) }}| {{ '-'.join('abc') }} {{ ', '.join(words | map('upper')) }} {{ ','.join({'a': 1}) }}",
    "{{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ 'héllo'.index('l') }} {{ 'hello'.count('l') }} {{ 'aaa'.count('') }} {{ 'hello'.find('l', 3) }} {{ 'hello'.find('h', -3) }} {{ 'abc'.find('', 9) }} {{ 'hello'.count('l', 3) }}",
    "{{ 'a.b.c'.partition('.') }} {{ 'a.b.c'.rpartition('.') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'x'.removeprefix('y') }}",
    "{{ '5'.zfill(3) }} {{ '-5'.zfill(4) }} {{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '.') }} {{ 'a'.center(4, '*') }} {{ 'ab'.center(5, '*') }}",
    "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ 'Ab Cd'.istitle() }} {{ '½'.isnumeric() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ 'a_1'.isidentifier() }} {{ '1a'.isidentifier() }} {{ 'é'.isascii() }} {{ 'a\\n'.isprintable() }}",
    "{{ '{} {}'.format('a', 1) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{k}'.format(k='v') }} {{ '{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c') }} {{ '{:.2f} {:05d} {:,}'.format(2.5, 42, 1234567) }} {{ '{!r}'.format('a') }} {{ '{{}}'.format() }} {{ '{0[a]} {0[C]}'.format(d) }} {{ '{:x} {:+d} {:e} {:%}'.format(255, 5, 1234.5, 0.25) }}",
    "{{ words.index('fig') }} {{ words.count('fig') }} {{ (1, 2, 1).count(1) }} {{ words.copy() == words }}",
    "{{ 'abc'.index('z') }}", "{{ words.index('zz') }}", "{{ ','.join([1]) }}", "{{ 'a'.split('') }}", "{{ 'a'.strip(1) }}", "{{ 'a'.nope() }}", "{{ 'a'.startswith(1) }}", "{{ 'a'.upper(1) }}", "{{ '{}'.format() }}", "{{ '{k}'.format() }}", "{{ x.replace('a') }}",
    "{{ content.split('</think>')[-1].lstrip('\\n') }}",
    "{{ 'a</think>\\n\\nb'.split('</think>')[-1].lstrip('\\n') }}{{ 'a</think>b'.split('</think>')[0].rstrip('\\n').split('<think>')[-1] }}",
    "{{ ('a b' | upper).split(' ')[0] }} {{ 'x'.upper().lower() }} {{ 'a'.join(['1', '2']).upper() }}",
]

PERCENT = ["{{ 'pear' % range(3) }} {{ 'a' % [1] }} {{ 'a' % missing }} {{ '%s' % missing }}|", "{{ 'a' % d.keys() }}", "{{ 'a' % namespace() }}", "{{ [] is filter }}", "{{ {} is test }}",
           "{{ 3 is filter }}{{ 'upper' is filter }}{{ none is test }}{{ 'odd' is test }}"]
FORMATS = [
    "{{ '%05d|%+d|% d|%-5d|%5.3d|%.4x|%#x|%#o|%X' % (42, 42, 42, 42, 7, 255, 255, 8, 255) }}",
    "{{ '%e|%E|%g|%G|%.3g|%#.3g|%08.3f|%+.1f' % (1234.5, 1234.5, 0.00001, 1e22, 2.5, 2.0, 3.14159, -2.25) }}",
    "{{ '%c|%c|%5s|%-5s|%.2s|%r|%a' % (65, 'é', uni, x, uni, uni, uni) }}",
    "{{ '%5%' % 1 }}", "{{ '%c' % 'ab' }}",
    "{{ '{:05d}|{:+}|{: }|{:<6}|{:^7}|{:>6}|{:=+7}|{:*^9}'.format(42, 42, 42, 42, 42, 42, 42, 42) }}",
    "{{ '{:,}|{:_}|{:_x}|{:#b}|{:#o}|{:#X}|{:c}|{:n}|{:,.2f}'.format(1234567, 1234567, 65535000, 5, 8, 255, 233, 7, 9876543.21) }}",
    "{{ '{:016_}|{:012,}|{:08.2f}|{:<08}|{: =8}|{:0>8}'.format(255, 1234, -2.5, 2.5, -3, 2.5) }}",
    "{{ '{:.3}|{:.1}|{:.10}|{:.3}|{:g}|{:G}|{:e}|{:%}|{:.1%}'.format(2.0, 7.0, 2.5, 999.0, 1e-9, 1e30, 12.5, 0.5, 0.125) }}",
    "{{ '{!r}|{!a}|{!s:>8}|{:5}|{:05}|{:.2}'.format(uni, uni, x, x, x, x) }}",
    "{{ '{:d}'.format('a') }}", "{{ '{:+}'.format('a') }}", "{{ '{:=5}'.format('a') }}", "{{ '{:,}'.format('a') }}",
    "{{ '{:.2d}'.format(1) }}", "{{ '{:,x}'.format(1) }}", "{{ '{:d}'.format(1.5) }}", "{{ '{:+c}'.format(65) }}",
    "{{ 25|round(-1) }} {{ 35|round(-1) }} {{ -15|round(-1) }} {{ 1234.5|round(-2) }} {{ 50.0|round(-2) }} {{ 51.0|round(-2) }} {{ 5|round(-20) }}",
    "{{ 0.0 ** -1 }}", "{{ 1e300 ** 2 }}", "{{ 1e308|round(2, 'ceil') }}",
    "{{ strftime_now('%d%Z%z|%%Z') }}", "{{ 'aß ßa aΣ bcΣ'|title }}",
]

LETTERS = [
    "{% for c in 'ßŉǰΐևẖẚᾀᾈᾳᾼﬁǄǅǆͅªⅷⓐ' %}{{ c.upper() }}|{{ c.lower() }}|{{ c.title() }}|{{ c.capitalize() }}|{{ c.swapcase() }} {% endfor %}",
    "{% for c in 'ßŉϒǄǅǆͅªºĸⅧⅷⓐ一½①²٣፩aA1 ' %}{{ [c.isupper(), c.islower(), c.istitle(), c.isdigit(), c.isnumeric(), c.isdecimal(), c.isalpha(), c.isalnum()] }}{% endfor %}",
    "{{ 'aΣª'.lower() }}{{ 'ⅷΣ'.lower() }}{{ 'ʰΣ'.lower() }}{{ 'aªb ʰc'.title() }}{{ 'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ 'A b'.istitle() }}{{ 'ǅa'.istitle() }}",
]

LOOP_ENDS = [
    "{% for i in [1,2] %}{% continue %}{% else %}none{% endfor %}|{% for i in [1,2] %}{% break %}{% else %}none{% endfor %}",
    "{% for i in [1,2] %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% else %}none{% endfor %}",
    "{% for i in [1,2] %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in [1] %}{% for j in [2] %}{% break %}{% else %}{{ i }}{% continue %}{% endfor %}{% else %}none{% endfor %}",
    "{% set i = 5 %}{% for i in [1] %}{% continue %}{% else %}{{ i }}{% endfor %}",
    "{{ '12.5'|int(0, 0) }} {{ '7'|int(3, 99) }}",
]

ERRORS = [
    "{{ raise_exception('my message') }}", "{% if no %}{{ raise_exception('x') }}{% endif %}fine",
    "{{", "{% if %}", "{% if x %}", "{% endif %}", "{% for %}{% endfor %}", "{% for x %}{% endfor %}", "{% nope %}", "{% if x %}{% endfor %}", "{{ x", "{% if x }}", "{{ x %}", "{# never", "{% raw %} x",
    "{{ 'a }}", "{{ 1 + }}", "{{ (1 }}", "{{ [1 }}", "{{ {1} }}", "{{ a b }}", "{{ a. }}", "{{ a | }}", "{{ x is }}", "{{ 1 = 2 }}", "{{ ) }}", "{{ a[ }}", "{{ @ }}", "{{ f(a=1, 2) }}", "{{ }}", "{% set %}", "{% set 1 = 2 %}", "{% set a %}", "{% macro %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% call x %}{% endcall %}", "{% break %}", "{% continue %}", "{% include 'a' %}", "{% extends 'a' %}", "{% import 'a' as b %}", "{{ x ? 1 : 2 }}", "{{ x && y }}", "{{ !x }}", "{{ [](1) }}", "{% for i in x %}{% else %}{% else %}{% endfor %}", "{% generation %}", "{% endgeneration %}", "{{ a.'b' }}", "{% if x %}{% else %}{% elif y %}{% endif %}", "{{ '\\x4' }}", "{% do 1 %}", "{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{{ 1..2 }}", "{{ x.y.z }}", "{{ undefined_function(1) }}", "{% set x = %}", "{% block %}", "{% set true = 1 %}", "{% for none in x %}{% endfor %}", "{{ loop.index }}",
]

STYLES = [
    # ChatML, Llama 3, Mistral and tool-calling shapes in the project's own words.
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}{%- set rest = messages[1:] %}{%- else %}{%- set system = '' %}{%- set rest = messages %}{%- endif %}\n{{- '<|head|>system<|end|>\n\n' + system + '<|eot|>' }}\n{%- for m in rest %}\n    {%- if not (m.role == 'ipython' or m.role == 'tool' or 'tool_calls' in m) %}\n        {{- '<|head|>' + m['role'] + '<|end|>\n\n' + m['content'] | trim + '<|eot|>' }}\n    {%- endif %}\n{%- endfor %}",
    "{%- set ns = namespace(system='', found=false) -%}\n{%- for m in messages -%}\n  {%- if m['role'] == 'system' -%}\n    {%- set ns.system = m['content'] -%}{%- set ns.found = true -%}\n  {%- elif m['role'] == 'user' -%}\n    {%- set content = ns.system + '\n\n' + m.content if ns.found else m.content -%}\n    {{ '[I] ' + content + ' [/I]' }}{%- set ns.found = false -%}\n  {%- elif m['role'] == 'assistant' -%}\n    {{ ' ' + m.content | trim + '</s>' }}\n  {%- else -%}{{ raise_exception('Unknown role: ' ~ m.role) }}{%- endif -%}\n{%- endfor -%}",
    "{%- if tools %}\n    {{- 'tools\n' }}{%- for t in tools %}{{- '\n' }}{{- t | tojson }}{%- endfor %}\n{%- endif %}\n{%- for message in messages %}\n    {%- if (message.role == 'user') or (message.role == 'system' and not loop.first) %}\n        {{- '<s>' + message.role + '\n' + message.content + '<e>' + '\n' }}\n    {%- elif message.role == 'assistant' %}\n        {{- '<s>' + message.role }}{%- if message.content %}{{- '\n' + message.content }}{%- endif %}\n        {%- for c in message.tool_calls %}{%- if c.function is defined %}{%- set c = c.function %}{%- endif %}\n            {{- '\n<call>\n{\"name\": \"' }}{{- c.name }}{{- '\", \"arguments\": ' }}{{- c.arguments | tojson }}{{- '}\n</call>' }}{%- endfor %}\n        {{- '<e>\n' }}\n    {%- elif message.role == 'tool' %}\n        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != 'tool') %}{{- '<s>user' }}{%- endif %}\n        {{- '\n<r>\n' }}{{- message.content }}{{- '\n</r>' }}\n        {%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}{{- '<e>\n' }}{%- endif %}\n    {%- endif %}\n{%- endfor %}",
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% elif p['type'] == 'image' %}<image>{% endif %}{% endfor %}{% endif %}{% if m.reasoning_content is defined and m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m | tojson }}\n{% endfor %}",
    "{%- macro render(s, depth=0) -%}\n{%- if s.type == 'object' -%}\n{ {% for k, v in s.properties.items() %}{{ '  ' * depth }}{{ k }}: {{ render(v, depth + 1) }}{{ ', ' if not loop.last }}{% endfor %} }\n{%- elif s.type is sequence and s.type is not string -%}{{ s.type | join(' | ') }}\n{%- elif s.type == 'array' -%}{{ render(s['items']) }}[]\n{%- else -%}{{ s.type }}{%- endif -%}\n{%- endmacro -%}\n{% for t in tools or [] %}{{ t.function.name }}({{ render(t.function.parameters) }})\n{% endfor %}",
    "Today: {{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%A %j') }}",
]

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the <weather> & more", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]},
                                     "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["city"]}}}]
CALLS = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Åre", "n": 1.50}}}]},
    {"role": "tool", "content": "sun"}, {"role": "tool", "content": "rain"},
    {"role": "assistant", "content": "Both.", "thinking": "Hm."},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Look "}, {"type": "image"}]},
         {"role": "assistant", "reasoning": "r", "content": "A cat", "extra": {"a": [1, 2.0, None]}}]


def contexts(group):
    if group is not STYLES:
        return [CONTEXT]
    base = {"bos_token": "<s>", "eos_token": "</s>"}
    return [{"messages": CONTEXT["messages"], "add_generation_prompt": True, **base},
            {"messages": CALLS, "tools": TOOLS, **base}, {"messages": PARTS}]


class Midnight:
    """datetime.datetime with a fixed now(), for strftime_now."""

    @staticmethod
    def now():
        import datetime
        return datetime.datetime(2026, 3, 4)


def alias(messages):
    from transformers.utils import chat_template_utils
    return chat_template_utils._alias_reasoning_fields(messages)


def render(template, context):
    given = {k: v for k, v in context.items() if k not in ("messages", "tools", "add_generation_prompt")}
    compiled = _compile_jinja_template(template)
    text, indices = _render_with_assistant_indices(
        compiled, alias(context.get("messages", [])), context.get("tools"), None, context.get("add_generation_prompt", False),
        **given)
    return text, [[len(text[:b].encode()), len(text[:e].encode())] for b, e in indices]


def golden(template, index, context):
    row = {"template": template, "context": index}
    try:
        text, regions = render(template, context)
        row["output"] = text
        if regions:
            row["regions"] = regions
    except Exception as error:  # whatever jinja2, the sandbox or Python raises
        row["error"] = type(error).__name__
        if "raise_exception" in template:
            row["message"] = str(error)
    return row


def main():
    import datetime
    import transformers.utils.chat_template_utils as utils

    utils.datetime = Midnight  # strftime_now reads the module's name
    groups = [WHITESPACE, LITERALS, ARITHMETIC, COMPARISONS, SUBSCRIPTS, STATEMENTS, SELF, SANDBOX, HIDDEN, GENERATION, TESTS, FILTERS_TEXT,
              FILTERS_NUMBERS, FILTERS_SEQUENCES, JSON, METHODS, PERCENT, FORMATS, LETTERS, LOOP_ENDS, ERRORS, STYLES]
    table = [CONTEXT] + contexts(STYLES)
    rows = []
    for group in groups:
        for template in group:
            for context in contexts(group):
                rows.append(golden(template, table.index(context), context))
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/templates/snippets.json")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    heads = ",\n".join(json.dumps(context, ensure_ascii=False) for context in table)
    out.write_text('{"date": "2026-03-04", "contexts": [\n' + heads + '\n], "rows": [\n' + lines + "\n]}\n", encoding="utf-8")
    print(len(rows), "rows,", sum("error" in row for row in rows), "of them errors")


if __name__ == "__main__":
    main()
