//! Templates made to hang, to overflow the stack or to eat the memory: each must end, soon, as text or as an error.

use std::time::{Duration, Instant};

use ascua_chat::{ChatError, ChatTemplate, Message, RenderOptions, Role};

fn render(source: &str) -> Result<String, ChatError> {
    let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
    ChatTemplate::parse(source)?.render(&[Message::new(Role::User, "Hello")], &options)
}

/// Parses and renders on a stack of the size that threads get by default, within a time that no honest template needs.
fn check(name: &str, source: &str) {
    let start = Instant::now();
    let result = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, || render(source));
        thread.unwrap().join().expect(name)
    });
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(20), "{name} took {elapsed:?}");
    if let Ok(text) = &result {
        assert!(text.len() < 100 << 20, "{name} made {} bytes", text.len());
    }
}

const GROW: &str = "{% set ns = namespace(v=START) %}{% for i in range(90) %}{% set ns.v = STEP %}{% endfor %}USE";

/// A template that grows a value by a step, ninety times, and then uses it.
fn grow(start: &str, step: &str, then: &str) -> String {
    GROW.replace("START", start).replace("STEP", step).replace("USE", then)
}

#[test]
fn templates_that_run_on_are_stopped() {
    let cases = [
        (
            "nested loops",
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        ),
        ("endless recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        (
            "mutual recursion",
            "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        ),
        (
            "branching recursion",
            "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        ),
        ("recursive loop", "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}"),
        ("call block", "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}"),
        ("include of itself", "{% include 'chat template' %}"),
        ("extends itself", "{% extends 'chat template' %}"),
        ("import of itself", "{% import 'chat template' as t %}"),
        ("from itself", "{% from 'chat template' import t %}"),
        ("block within itself", "{% block a %}{{ self.a() }}{% endblock %}"),
        (
            "nested range sums",
            "{{ range(99999)|map('string')|join|length }}{% for i in range(9999) %}{{ range(99999)|sum }}{% endfor %}",
        ),
        ("sorting", "{% for i in range(9999) %}{{ range(99999)|reverse|sort|list|length }}{% endfor %}"),
        ("searching", "{% for i in range(99999) %}{{ -1 in range(99999) }}{% endfor %}"),
        (
            "counting text",
            "{% set s = 'a' * 999999 %}{% for i in range(99999) %}{{ s.count('b') }}{{ s.find('b') }}{{ s.upper()|length }}{{ s.strip()|length }}{% endfor %}",
        ),
        (
            "splitting text",
            "{% set s = 'a ' * 99999 %}{% for i in range(99999) %}{{ s.split()|length }}{{ s.splitlines()|length }}{{ s.rsplit()|length }}{% endfor %}",
        ),
    ];
    cases.iter().for_each(|(name, source)| check(name, source));
}

#[test]
fn values_that_grow_without_measure_are_refused() {
    let loops = "{% for i in range(99999) %}";
    let cases = [
        ("doubled text", grow("'x'", "ns.v ~ ns.v", "{{ ns.v|length }}")),
        ("doubled text with plus", grow("'x'", "ns.v + ns.v", "{{ ns.v|length }}")),
        ("doubled list", grow("[1]", "ns.v + ns.v", "{{ ns.v|length }}")),
        ("replaced text", grow("'x'", "ns.v.replace('x', 'xx')", "{{ ns.v|length }}")),
        ("squared text", grow("'x' * 9999", "ns.v.replace('x', ns.v)", "{{ ns.v|length }}")),
        ("squared by filter", grow("'x' * 9999", "ns.v|replace('x', ns.v)", "{{ ns.v|length }}")),
        ("joined text", grow("'x' * 9999", "ns.v.join(ns.v)", "{{ ns.v|length }}")),
        ("joined by filter", grow("'x' * 9999", "ns.v|join(ns.v)", "{{ ns.v|length }}")),
        ("escaped text", grow("'&'", "ns.v|e", "{{ ns.v|length }}")),
        ("formatted text", grow("'{0}{0}'", "ns.v.format(ns.v)", "{{ ns.v|length }}")),
        ("formatted by filter", grow("'%s%s'", "'%s%s'|format(ns.v, ns.v)", "{{ ns.v|length }}")),
        ("json of json", grow("'\"'", "ns.v|tojson", "{{ ns.v|length }}")),
        ("indented text", grow("'a\\n'", "ns.v|indent(999)", "{{ ns.v|length }}")),
        ("shared list as json", grow("[1]", "[ns.v, ns.v]", "{{ ns.v|tojson }}")),
        ("shared list as text", grow("[1]", "[ns.v, ns.v]", "{{ ns.v|string }}")),
        ("shared list printed", grow("[1]", "[ns.v, ns.v]", "{{ ns.v }}")),
        ("shared list joined to text", grow("[1]", "[ns.v, ns.v]", "{{ ns.v ~ '' }}")),
        ("shared list pretty", grow("[1]", "[ns.v, ns.v]", "{{ ns.v|pprint }}")),
        ("shared list compared", grow("[1]", "[ns.v, ns.v]", "{{ ns.v == [ns.v[0], ns.v[1]] }}")),
        (
            "shared lists compared",
            grow(
                "[[1], [1]]",
                "[[ns.v[0], ns.v[0]], [ns.v[1], ns.v[1]]]",
                "{{ ns.v[0] == ns.v[1] }}{{ ns.v[0] < ns.v[1] }}",
            ),
        ),
        (
            "shared list sorted",
            grow("[1]", "[ns.v, ns.v]", "{{ [ns.v, ns.v]|sort|length }}{{ [ns.v, ns.v]|unique|list|length }}"),
        ),
        ("shared list as key", grow("[1]", "[ns.v, ns.v]", "{{ {ns.v: 1}|length }}")),
        ("shared list formatted", grow("[1]", "[ns.v, ns.v]", "{{ '{}'.format(ns.v) }}{{ '%s'|format(ns.v) }}")),
        ("shared map as json", grow("{}", "{'a': ns.v, 'b': ns.v}", "{{ ns.v|tojson(indent=2) }}")),
        (
            "shared map printed",
            grow("{}", "{'a': ns.v, 'b': ns.v}", "{{ ns.v }}{{ ns.v|dictsort }}{{ ns.v|items|list }}"),
        ),
        ("shared list summed", grow("[1]", "[ns.v, ns.v]", "{{ ns.v|sum(start=[])|length }}")),
        ("shared list replaced", grow("[1]", "[ns.v, ns.v]", "{{ 'x'.replace('x', ns.v|string) }}")),
        ("shared list raised", grow("[1]", "[ns.v, ns.v]", "{{ raise_exception(ns.v) }}")),
        ("huge repeat", "{{ 'x' * 99999999 }}{{ 'x' * 9999999999 }}".to_owned()),
        ("huge list repeat", "{{ ([1] * 99999999)|length }}".to_owned()),
        ("huge padding", "{{ 'x'.ljust(99999999999) }}".to_owned()),
        ("huge zeros", "{{ 'x'.zfill(99999999999) }}".to_owned()),
        ("huge center", "{{ 'x'|center(99999999999) }}".to_owned()),
        ("huge indent", "{{ 'x\nx'|indent(99999999999) }}".to_owned()),
        ("huge json indent", "{{ [1]|tojson(indent=99999999999) }}".to_owned()),
        ("huge format width", "{{ '%99999999999d'|format(1) }}".to_owned()),
        ("huge format width by value", "{{ '%*d'|format(99999999999, 1) }}".to_owned()),
        ("huge format precision", "{{ '%.99999999999f'|format(1.5) }}".to_owned()),
        ("huge python width", "{{ '{:99999999999}'.format(1) }}".to_owned()),
        ("huge python width by value", "{{ '{:{}}'.format(1, 99999999999) }}".to_owned()),
        ("large python width by value", "{{ '{:{}}'.format(1, 4000000000)|length }}".to_owned()),
        ("huge batch", "{{ [1]|batch(99999999999, 'x')|list }}".to_owned()),
        ("huge slice", "{{ [1]|slice(99999999999, 'x')|list }}".to_owned()),
        ("huge range", "{{ range(99999999999)|list }}".to_owned()),
        (
            "many ranges",
            format!(
                "{{% set ns = namespace(v=[]) %}}{loops}{{% set ns.v = ns.v + [range(99999)|list] %}}{{% endfor %}}"
            ),
        ),
        (
            "many names",
            format!(
                "{{% set ns = namespace(v={{}}) %}}{loops}{{% set ns.v = dict(ns.v, **{{i|string: 'x' * 9999}}) %}}{{% endfor %}}"
            ),
        ),
        ("endless output", format!("{loops}{{{{ 'x' * 99999 }}}}{{% endfor %}}")),
        ("endless captured output", format!("{{% set x %}}{loops}{{{{ 'x' * 99999 }}}}{{% endfor %}}{{% endset %}}")),
    ];
    for (name, source) in &cases {
        check(name, source);
        // The same without a loop and a namespace.
        if let Some((start, step, then)) = parts(source) {
            let steps = format!("{{% set v = {step} %}}").repeat(90);
            check(&format!("{name}, unrolled"), &format!("{{% set v = {start} %}}{steps}{then}").replace("ns.v", "v"));
            for (open, close) in [("{% for v in [STEP] %}", "{% endfor %}"), ("{% with v = STEP %}", "{% endwith %}")] {
                let source = format!(
                    "{{% set v = {start} %}}{}{then}{}",
                    open.replace("STEP", step).repeat(90),
                    close.repeat(90)
                );
                check(&format!("{name}, {open}"), &source.replace("ns.v", "v"));
            }
            let source = format!(
                "{{% macro f(v, n) %}}{{% if n %}}{{{{ f({step}, n - 1) }}}}{{% else %}}{then}{{% endif %}}{{% endmacro %}}{{{{ f({start}, DEPTH) }}}}"
            );
            for depth in ["5", "12"] {
                check(&format!("{name}, in {depth} calls"), &source.replace("ns.v", "v").replace("DEPTH", depth));
            }
        }
    }
}

/// The start, the step and the use in a template made by `grow`.
fn parts(source: &str) -> Option<(&str, &str, &str)> {
    let rest = source.strip_prefix("{% set ns = namespace(v=")?;
    let (start, rest) = rest.split_once(") %}{% for i in range(90) %}{% set ns.v = ")?;
    let (step, then) = rest.split_once(" %}{% endfor %}")?;
    Some((start, step, then))
}

#[test]
fn lists_repeated_on_demand_are_refused() {
    let value = "([[1] * 99999] * 99999)";
    for use_it in [
        "{{ V }}",
        "{{ V ~ '' }}",
        "{{ V|string }}",
        "{{ V|tojson }}",
        "{{ V|upper }}",
        "{{ V|trim }}",
        "{{ V|replace('a', 'b') }}",
        "{{ V|indent }}",
        "{{ '%s'|format(V) }}",
        "{{ '{}'.format(V) }}",
        "{{ {V: 1} }}",
        "{{ V == V }}",
        "{{ V in 'a' }}",
        "{{ V|map('upper')|list }}",
        "{% for x in V %}{{ x ~ '' }}{% endfor %}",
    ] {
        check(use_it, &use_it.replace('V', value));
        check(use_it, &use_it.replace('V', "(99999 * messages|list)"));
        let range =
            "([range(99999)] + [range(99999), range(99999)])".replace("range", "[range(99999)|map('list')] + range");
        check(use_it, &use_it.replace('V', &range));
    }
    assert_eq!(render("{{ 2 * 3 }}{{ 'ab' * 2 }}").unwrap(), "6abab");
}

#[test]
fn values_nested_deep_or_in_themselves_do_not_overflow_the_stack() {
    let deep = |start: &str, step: &str, then: &str| grow(start, step, then).replace("range(90)", "range(99999)");
    let list = |then: &str| deep("[]", "[ns.v]", then);
    let map = |then: &str| deep("{}", "{'a': ns.v}", then);
    let itself = |then: &str| format!("{{% set ns = namespace() %}}{{% set ns.a = ns %}}{{% set ns.l = [ns] %}}{then}");
    let uses = [
        "",
        "{{ ns.v }}",
        "{{ ns.v|string|length }}",
        "{{ ns.v|tojson|length }}",
        "{{ ns.v|pprint|length }}",
        "{{ ns.v == ns.v }}{{ ns.v == [ns.v] }}{{ [ns.v] < [ns.v] }}",
        "{{ {ns.v: 1} }}",
        "{{ [ns.v]|unique|list|length }}",
        "{{ ns.v ~ 'x' }}",
        "{{ ns.v in [ns.v] }}",
        "{{ '%s'|format(ns.v) }}{{ '{}'.format(ns.v) }}",
        "{{ ns.v|sum(start=[]) }}",
        "{{ ns.v.nothing.at_all }}",
        "{{ raise_exception(ns.v) }}",
        "{{ raise_exception(ns.v|string) }}",
        "{{ ns.v.unknown() }}",
    ];
    for then in uses {
        check(&format!("deep list, {then}"), &list(then));
        check(&format!("deep map, {then}"), &map(then));
        check(&format!("namespace in itself, {then}"), &itself(&then.replace("ns.v", "ns")));
        check(&format!("list in itself, {then}"), &itself(&then.replace("ns.v", "ns.l")));
    }
    // Without namespaces: wrapped once more by each of many statements, in each of several macro calls.
    for then in uses {
        for (start, wrap) in [("[]", "{% set v = [v] %}"), ("{}", "{% set v = {'a': v} %}")] {
            let then = then.replace("ns.v", "v");
            let wraps = wrap.repeat(110_000 / wrap.len());
            check(&format!("unrolled {wrap}, {then}"), &format!("{{% set v = {start} %}}{wraps}{then}"));
            let macros = format!(
                "{{% macro f(v, n) %}}{wraps}{{% if n %}}{{{{ f(v, n - 1) }}}}{{% else %}}{then}{{% endif %}}{{% endmacro %}}"
            );
            for calls in [5, 10, 13] {
                check(
                    &format!("{calls} macro calls of {wrap}, {then}"),
                    &format!("{macros}{{{{ f({start}, {calls}) }}}}"),
                );
            }
        }
    }
    check("deep concatenation of lists", &deep("[]", "ns.v + [1]", "{{ ns.v|length }}"));
    check("deep slices", &deep("[1]", "ns.v[0:]", "{{ ns.v|length }}"));
    check("deep lazy filters", &deep("[1]", "ns.v|map('string')", "{{ ns.v|list|length }}"));
    check("deep items", &deep("[1]", "ns.v|reverse", "{{ ns.v|list|length }}"));
    check("deep chain", &deep("[1]", "ns.v|chain([1])", "{{ ns.v|list|length }}"));
    check("deep dict", &deep("{}", "dict(ns.v, a=1)", "{{ ns.v|length }}"));
    check(
        "deep macro",
        "{% set ns = namespace(m=0) %}{% for i in range(9999) %}{% macro f(x=ns.m) %}{{ x }}{% endmacro %}{% set ns.m = f %}{% endfor %}{{ ns.m() }}",
    );
}

#[test]
fn arithmetic_at_its_limits_is_defined() {
    let numbers = [
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775807 - 1",
        "340282366920938463463374607431768211455",
        "1e308",
        "-0.0",
        "(1e308 * 10)",
        "(1e308 * 10 - 1e308 * 10)",
        "true",
        "none",
        "missing",
    ];
    for a in numbers {
        for b in numbers {
            for operator in ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and"] {
                check("arithmetic", &format!("{{{{ ({a}) {operator} ({b}) }}}}"));
            }
        }
        for use_it in [
            "'abc'[N:]",
            "'abc'[:N]",
            "'abc'[::N]",
            "[1,2][N]",
            "[1,2][::N]",
            "range(N)",
            "range(1, N)",
            "range(1, 5, N)",
            "'x' * (N)",
            "[1] * (N)",
            "(N)|abs",
            "(N)|round",
            "(N)|round(N)",
            "(N)|int",
            "'x'|center(N)",
            "'x'|truncate(N)",
            "'a b'.split(' ', N)",
            "'a b'.rsplit(' ', N)",
            "'x'.zfill(N)",
            "'aaa'.replace('a', 'b', N)",
            "[1,2]|batch(N)|list",
            "[1,2]|slice(N)|list",
            "(N)|filesizeformat",
            "'%d'|format(N)",
            "'%c'|format(N)",
            "'{}'.format(N)",
            "-(N)",
            "(N)|tojson",
            "[1]|tojson(indent=N)",
            "strftime_now(N)",
        ] {
            check(use_it, &format!("{{{{ {} }}}}", use_it.replace('N', a)));
        }
    }
}

#[test]
fn sources_made_to_exhaust_the_parser_are_refused() {
    let many = |part: &str| part.repeat(60_000 / part.len());
    let cases = [
        ("parentheses", format!("{{{{ {}", many("("))),
        ("closed parentheses", format!("{{{{ {}1{} }}}}", many("("), many(")"))),
        ("brackets", format!("{{{{ {}", many("["))),
        ("braces", format!("{{{{ {}", many("{1:"))),
        ("minus signs", format!("{{{{ {}1 }}}}", many("- "))),
        ("nots", format!("{{{{ {}1 }}}}", many("not "))),
        ("sums", format!("{{{{ {}1 }}}}", many("1+"))),
        ("concatenations", format!("{{{{ {}1 }}}}", many("x~"))),
        ("powers", format!("{{{{ {}1 }}}}", many("2**"))),
        ("comparisons", format!("{{{{ {}1 }}}}", many("1<"))),
        ("ands", format!("{{{{ {}1 }}}}", many("1 and "))),
        ("attributes", format!("{{{{ x{} }}}}", many(".a"))),
        ("items", format!("{{{{ x{} }}}}", many("[0]"))),
        ("calls", format!("{{{{ x{} }}}}", many("()"))),
        ("filters", format!("{{{{ x{} }}}}", many("|e"))),
        ("tests", format!("{{{{ x{} }}}}", many(" is string"))),
        ("conditions", format!("{{{{ {}1 }}}}", many("1 if 1 else "))),
        ("ifs", many("{% if 1 %}")),
        ("closed ifs", many("{% if 1 %}") + &many("{% endif %}")),
        ("elifs", format!("{{% if 0 %}}{}{{% endif %}}", many("{% elif 0 %}"))),
        ("fors", many("{% for a in b %}")),
        ("sets", many("{% set a %}")),
        ("macros", many("{% macro a() %}")),
        ("blocks", many("{% generation %}")),
        ("variables", many("{{ 1 }}")),
        ("tag openings", many("{%")),
        ("variable openings", many("{{")),
        ("comment openings", many("{#")),
        ("raw", many("{% raw %}")),
        ("quotes", format!("{{{{ '{}", many("\\'"))),
        ("one long line of text", many("x")),
        ("nul", many("\0{{ 1 }}")),
    ];
    cases.iter().for_each(|(name, source)| check(name, source));
    // As much as one tag may hold, in as many tags as a template may hold.
    for chain in
        ["- ", "not ", "1+", "x~", "2**", "1<", "1 and ", "x.a*", "1 if 1 else ", "(", "[", "{1:", "x[0](0)|e+", "'"]
    {
        let tag = format!("{{{{ {}1 }}}}", chain.repeat(4080 / chain.len()));
        check(&format!("tags of {chain}"), &tag.repeat(31));
    }
    let limit = 128 << 10;
    assert_eq!(render(&"x".repeat(limit + 1)), Err(ChatError::TooLong { bytes: limit + 1, limit }));
}
