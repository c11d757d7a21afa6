//! Small rewritings of a template's source, for what minijinja knows under another name.
//!
//! - `{% generation %} … {% endgeneration %}` marks the assistant's text for training and prints it: a condition that
//!   always holds.
//! - `{% set ns.name = value %}` becomes a method call, see `namespace`.
//! - Whatever gets a name passes through a function, see `namespace`: the value in `{% set name = value %}`, and what
//!   `for`, `with`, `macro` and `call` name, in an assignment that is added behind their tags.
//! - Factors pass through a filter, see `multiplication`.
//!
//! Only block tags are touched: text, comments, strings and raw blocks stay. Lines keep their numbers.

use std::borrow::Cow;

use crate::multiplication::filter_factors;
use crate::namespace;

/// The most code in one tag, strings apart: parsing takes time that grows with its square. Real templates stay below 1000.
const MAX_TAG_BYTES: usize = 4096;

/// A tag with more code than is parsed.
#[derive(Debug, PartialEq)]
pub(crate) struct LongTag {
    pub(crate) line: usize,
    pub(crate) bytes: usize,
    pub(crate) limit: usize,
}

/// Rewrites a template for minijinja.
pub(crate) fn rewrite(source: &str) -> Result<Cow<'_, str>, LongTag> {
    let mut rewritten = String::new();
    let mut copied = 0;
    let mut position = 0;
    while let Some(found) = source[position..].find('{') {
        let start = position + found;
        let inside = start + 2;
        position = match source.as_bytes().get(start + 1) {
            Some(b'#') => source[inside..].find("#}").map_or(source.len(), |end| inside + end + 2),
            Some(kind @ (b'{' | b'%')) => {
                let mark = if *kind == b'{' { "}}" } else { "%}" };
                let end = tag_end(source, inside, mark)?;
                let tag = &source[inside..end];
                let filtered = filter_factors(tag);
                let new = if *kind == b'%' { rewrite_tag(filtered.as_deref().unwrap_or(tag)) } else { None };
                if let Some(tag) = new.or(filtered) {
                    rewritten.push_str(&source[copied..inside]);
                    rewritten.push_str(&tag);
                    copied = end;
                }
                if *kind == b'%' && marks_trimmed(tag).1 == "raw" { end_of_raw(source, end) } else { end }
            }
            _ => start + 1,
        };
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(source));
    }
    rewritten.push_str(&source[copied..]);
    Ok(Cow::Owned(rewritten))
}

/// Where the tag that starts before `inside` ends; the mark may also stand in strings, and braces in dicts, which do not
/// count.
fn tag_end(source: &str, inside: usize, mark: &str) -> Result<usize, LongTag> {
    let bytes = source.as_bytes();
    let mut at = inside;
    let mut in_strings = 0;
    let mut open_braces = 0_usize;
    while at < bytes.len() && !(open_braces == 0 && bytes[at..].starts_with(mark.as_bytes())) {
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                in_strings += at - start;
            }
            b'{' => open_braces += 1,
            b'}' => open_braces = open_braces.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    let end = at.min(source.len());
    let code = (end - inside).saturating_sub(in_strings);
    if code > MAX_TAG_BYTES {
        let line = source.as_bytes()[..inside].iter().filter(|&&byte| byte == b'\n').count() + 1;
        return Err(LongTag { line, bytes: code, limit: MAX_TAG_BYTES });
    }
    Ok(end)
}

/// Where the block after a raw tag ends.
fn end_of_raw(source: &str, from: usize) -> usize {
    let mut position = from;
    while let Some(found) = source[position..].find("{%") {
        let inside = position + found + 2;
        let Some(length) = source[inside..].find("%}") else { break };
        position = inside + length;
        if marks_trimmed(&source[inside..position]).1 == "endraw" {
            return position;
        }
    }
    source.len()
}

/// Splits the inside of a tag into the mark before it, its code, and the mark after it.
fn marks_trimmed(tag: &str) -> (&str, &str, &str) {
    let is_mark = |byte: Option<&u8>| matches!(byte, Some(b'-' | b'+'));
    let before = usize::from(is_mark(tag.as_bytes().first()));
    let after = usize::from(tag.len() > before && is_mark(tag.as_bytes().last()));
    (&tag[..before], tag[before..tag.len() - after].trim(), &tag[tag.len() - after..])
}

fn rewrite_tag(tag: &str) -> Option<String> {
    let (before, code, after) = marks_trimmed(tag);
    let new = match code {
        "generation" => "if true".to_owned(),
        "endgeneration" => "endif".to_owned(),
        _ => assignment(code).or_else(|| naming(code))?,
    };
    // The line breaks at the edges keep the numbers of later lines.
    let inner = &tag[before.len()..tag.len() - after.len()];
    let leading = &inner[..inner.len() - inner.trim_start().len()];
    let trailing = &inner[inner.trim_end().len()..];
    Some(format!("{before}{leading} {new} {trailing}{after}"))
}

/// `set ns.name = value` as a method call, `set name = value` with the value passed through a function.
fn assignment(code: &str) -> Option<String> {
    let target = code.strip_prefix("set")?;
    let (target, value) = target.starts_with(char::is_whitespace).then(|| target.split_once('='))??;
    if value.trim().is_empty() || value.starts_with('=') {
        return None;
    }
    let is_name = |text: &str| {
        let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let target = target.trim();
    if let Some((object, name)) = target.split_once('.') {
        let (object, name) = (object.trim_end(), name.trim_start());
        let is_target = is_name(object) && is_name(name);
        return is_target.then(|| format!("do {object}.{}('{name}', ({value}))", namespace::SET));
    }
    let is_target = target.split(',').map(str::trim).all(|name| is_name(name.trim_matches(['(', ')'])));
    is_target.then(|| format!("set {target} = {}(({value}))", namespace::KEEP))
}

/// A tag that names values, with an assignment behind it for each.
fn naming(code: &str) -> Option<String> {
    let names = if let Some(rest) = code.strip_prefix("for").filter(|rest| !starts_with_word(rest)) {
        words(rest.split_once(" in ").or_else(|| rest.split_once("\nin "))?.0)
    } else if let Some(rest) = code.strip_prefix("with").filter(|rest| !starts_with_word(rest)) {
        assigned(rest)
    } else if let Some(rest) = code.strip_prefix("macro").filter(|rest| !starts_with_word(rest)) {
        assigned(rest.trim_end().strip_suffix(')')?.split_once('(')?.1)
    } else if let Some(rest) = code.strip_prefix("call").filter(|rest| !starts_with_word(rest)) {
        assigned(rest.trim_start().strip_prefix('(')?.split_once(')')?.0)
    } else {
        return None;
    };
    let keep = |name: &&str| format!(" %}}{{% set {name} = {}({name})", namespace::KEEP);
    (!names.is_empty()).then(|| code.to_owned() + &names.iter().map(keep).collect::<String>())
}

fn starts_with_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
}

/// The names in a list of targets, such as `a, (b, c)`.
fn words(targets: &str) -> Vec<&str> {
    targets.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}

/// The names at the top level of a list such as `a, b=1, c={'x': [1, 2]}`.
fn assigned(list: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut open = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    // Where a name may begin; nowhere once it has been taken.
    let mut name_from = Some(0);
    for (at, character) in list.char_indices().chain([(list.len(), ',')]) {
        if let Some(end) = quote {
            let closes = character == end && !escaped;
            escaped = character == '\\' && !escaped;
            quote = if closes { None } else { Some(end) };
            continue;
        }
        match character {
            '\'' | '"' => quote = Some(character),
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '=' | ',' if open == 0 => {
                if let Some(from) = name_from.take() {
                    names.extend(words(&list[from..at]));
                }
                if character == ',' {
                    name_from = Some(at + 1);
                }
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_kinds_of_tags_are_rewritten() {
        let cases = [
            ("{% generation %}a{% endgeneration %}b", "{%  if true  %}a{%  endif  %}b"),
            ("{%- generation-%}a{%-endgeneration -%}", "{%-  if true -%}a{%- endif  -%}"),
            ("{%+ generation +%}{% if generation %}", "{%+  if true  +%}{% if generation %}"),
            ("{% set ns.a = 1 %}", "{%  do ns.__set__('a', ( 1))  %}"),
            ("{%-\nset ns.a = {'b': '%}'}\n-%}", "{%-\n do ns.__set__('a', ( {'b': '%}'})) \n-%}"),
            ("{{ {'a': {}} }}{%set ns . a=b == c%}", "{{ {'a': {}} }}{% do ns.__set__('a', (b == c)) %}"),
            ("{% set a = ns.b %}", "{%  set a = __keep__(( ns.b))  %}"),
            ("{% set a = 'x.y = z' %}", "{%  set a = __keep__(( 'x.y = z'))  %}"),
            (
                "{%- for a, b in c.items() if a -%}",
                "{%-  for a, b in c.items() if a %}{% set a = __keep__(a) %}{% set b = __keep__(b)  -%}",
            ),
            (
                "{% macro f(a, b={'x': [',c=', (1, 2)]}, c='d,\\'e') %}",
                "{%  macro f(a, b={'x': [',c=', (1, 2)]}, c='d,\\'e') %}{% set a = __keep__(a) %}{% set b = __keep__(b) \
                 %}{% set c = __keep__(c)  %}",
            ),
            (
                "{% with a = 1, b = f(a, c=2) %}",
                "{%  with a = 1, b = f(a, c=2) %}{% set a = __keep__(a) %}{% set b = __keep__(b)  %}",
            ),
            ("{% call(x) f() %}", "{%  call(x) f() %}{% set x = __keep__(x)  %}"),
            ("{%- set a, b=1, 2 -%}", "{%-  set a, b = __keep__((1, 2))  -%}"),
        ];
        for (source, expected) in cases {
            assert_eq!(rewrite(source).unwrap(), expected);
        }
        for unchanged in [
            "",
            "{",
            "{%",
            "{%-%}{%--%}{%-",
            "{% set ns.a %}{% set ns.a == 1 %}{% set ns.a = %}{% settings.a = 1 %}",
            "{# {% set ns.a = 1 %} #}{% raw %}{% set ns.a = 1 %}{%- endraw -%}",
            "{{ '{% set ns.a = 1 %}' }}{{ \"\\\"{% set ns.a = 1 %}\" }}",
            "{% set a %}{% set a | upper %}{% set a.b.c = 1 %}{% set 1 = 2 %}{% set a[0] = 2 %}",
            "{% macro f() %}{% call f() %}{% with %}{% form in x %}{% endfor %}{% for a %}",
            "{% raw %}{% generation %}",
            "{{ 'open\\",
        ] {
            assert_eq!(rewrite(unchanged).unwrap(), unchanged);
        }
    }
    #[test]
    fn long_code_is_refused_and_long_strings_are_not() {
        let long = "x".repeat(MAX_TAG_BYTES);
        assert!(rewrite(&format!("{{{{ '{long}{long}' }}}}")).is_ok());
        let source = format!("a\n{{% if x{long} %}}");
        assert_eq!(rewrite(&source), Err(LongTag { line: 2, bytes: MAX_TAG_BYTES + 6, limit: MAX_TAG_BYTES }));
    }
}
