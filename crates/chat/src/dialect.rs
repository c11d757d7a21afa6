//! Small rewritings of a template's source, for what minijinja knows under another name.
//!
//! - `{% generation %} … {% endgeneration %}` marks the assistant's text for training and prints it: a condition that
//!   always holds.
//! - `{% set ns.name = value %}` becomes a method call, see `namespace`.
//!
//! Only block tags are touched: text, comments, strings and raw blocks stay. Lines keep their numbers.

use std::borrow::Cow;

use crate::namespace;

/// Rewrites a template for minijinja.
pub(crate) fn rewrite(source: &str) -> Cow<'_, str> {
    let mut rewritten = String::new();
    let mut copied = 0;
    let mut position = 0;
    while let Some(found) = source[position..].find('{') {
        let start = position + found;
        let inside = start + 2;
        position = match source.as_bytes().get(start + 1) {
            Some(b'#') => source[inside..].find("#}").map_or(source.len(), |end| inside + end + 2),
            Some(b'{') => inside + code_length(&source[inside..], "}}"),
            Some(b'%') => {
                let end = inside + code_length(&source[inside..], "%}");
                let tag = &source[inside..end];
                if let Some(tag) = rewrite_tag(tag) {
                    rewritten.push_str(&source[copied..inside]);
                    rewritten.push_str(&tag);
                    copied = end;
                }
                if marks_trimmed(tag).1 == "raw" { end_of_raw(source, end) } else { end }
            }
            _ => start + 1,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    rewritten.push_str(&source[copied..]);
    Cow::Owned(rewritten)
}

/// How far it is to the end of a tag; the mark may also stand in strings, and braces in dicts, which do not count.
fn code_length(code: &str, mark: &str) -> usize {
    let bytes = code.as_bytes();
    let mut at = 0;
    let mut open_braces = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            _ if open_braces == 0 && bytes[at..].starts_with(mark.as_bytes()) => return at,
            b'{' => open_braces += 1,
            b'}' => open_braces = open_braces.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    code.len()
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
        _ => assignment(code)?,
    };
    // The line breaks at the edges keep the numbers of later lines.
    let inner = &tag[before.len()..tag.len() - after.len()];
    let leading = &inner[..inner.len() - inner.trim_start().len()];
    let trailing = &inner[inner.trim_end().len()..];
    Some(format!("{before}{leading} {new} {trailing}{after}"))
}

/// `set ns.name = value` as a method call.
fn assignment(code: &str) -> Option<String> {
    let target = code.strip_prefix("set")?;
    let (target, value) = target.starts_with(char::is_whitespace).then(|| target.split_once('='))??;
    let (object, name) = target.trim().split_once('.')?;
    let (object, name) = (object.trim_end(), name.trim_start());
    let is_name = |text: &str| {
        let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let complete = is_name(object) && is_name(name) && !value.trim().is_empty() && !value.starts_with('=');
    complete.then(|| format!("do {object}.{}('{name}', ({value}))", namespace::SET))
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
        ];
        for (source, expected) in cases {
            assert_eq!(rewrite(source), expected);
        }
        for unchanged in [
            "",
            "{",
            "{%",
            "{%-%}{%--%}{%-",
            "{% set a = ns.b %}{% set a = 'x.y = z' %}{% set ns.a %}{% set ns.a == 1 %}{% set ns.a = %}{% settings.a = 1 %}",
            "{# {% set ns.a = 1 %} #}{% raw %}{% set ns.a = 1 %}{%- endraw -%}",
            "{{ '{% set ns.a = 1 %}' }}{{ \"\\\"{% set ns.a = 1 %}\" }}",
            "{% raw %}{% generation %}",
            "{{ 'open\\",
        ] {
            assert_eq!(rewrite(unchanged), unchanged);
        }
    }
}
