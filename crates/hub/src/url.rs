//! The few operations on addresses that the sources need: joining, escaping, and keeping secrets out of messages.
//!
//! Invariant: what [`redact`] returns may be shown to anybody. Source: RFC 3986, sections 3 and 5.2.

/// Splits `scheme://user:password@host/path` into the address without the user and a `Basic` authorization value.
pub(crate) fn split_credentials(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let value = format!("Basic {}", base64(&percent_decode(user)));
            (format!("{scheme}://{host}{tail}"), Some(value))
        }
        None => (url.to_owned(), None),
    }
}

/// The address without user, query (where signed links keep their keys) and fragment.
pub(crate) fn redact(url: &str) -> String {
    let (clean, _) = split_credentials(url);
    let end = clean.find(['?', '#']).unwrap_or(clean.len());
    clean[..end].to_owned()
}

/// `scheme://host:port` in lower case.
pub(crate) fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| format!("{}://{}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
}

/// Resolves a link found in the document at `base`. The fragment is dropped.
pub(crate) fn join(base: &str, link: &str) -> Option<String> {
    let link = link.split('#').next().unwrap_or_default().trim();
    if has_scheme(link) {
        return Some(link.to_owned());
    }
    let (scheme, rest) = base.split_once("://")?;
    if let Some(link) = link.strip_prefix("//") {
        return Some(format!("{scheme}://{link}"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (link_path, query) = match link.find('?') {
        Some(at) => link.split_at(at),
        None => (link, ""),
    };
    let merged = if link_path.starts_with('/') {
        link_path.to_owned()
    } else {
        let directory = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{directory}{link_path}")
    };
    Some(format!("{scheme}://{authority}{}{query}", remove_dot_segments(&merged)))
}

fn has_scheme(link: &str) -> bool {
    link.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.trim_start_matches('/').split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Escapes a path, leaving its slashes.
pub(crate) fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Undoes percent-escapes; a broken escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// The last segment of the path, unescaped: the file name a link suggests.
pub(crate) fn file_name(url: &str) -> Option<String> {
    let clean = redact(url);
    let path = clean.split_once("://").map_or(clean.as_str(), |(_, rest)| rest);
    let (_, path) = path.split_once('/')?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(&percent_decode(name)).into_owned();
    (!name.is_empty()).then_some(name)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, &byte| (word << 8) | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            if place <= group.len() {
                out.push(DIGITS[(word >> (18 - 6 * place)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_against_their_document() {
        for (base, link, expected) in [
            ("https://h/simple/a/", "https://f/x.whl#sha256=1", "https://f/x.whl"),
            ("https://h/simple/a/", "../../packages/x.whl", "https://h/packages/x.whl"),
            ("https://h/simple/a/", "/packages/x.whl?k=1", "https://h/packages/x.whl?k=1"),
            ("https://h/simple/a/", "x.whl", "https://h/simple/a/x.whl"),
            ("https://h/simple/a/?q", "./x.whl", "https://h/simple/a/x.whl"),
            ("https://h", "x", "https://h/x"),
            ("http://h:80/a", "//g/x", "http://g/x"),
            ("https://h/a/b", "../../../x", "https://h/x"),
            ("https://h/a/b", "..", "https://h/"),
        ] {
            assert_eq!(join(base, link).as_deref(), Some(expected), "{base} + {link}");
        }
        assert_eq!(join("no address", "x"), None);
    }

    #[test]
    fn credentials_leave_the_address_and_the_messages() {
        for (url, clean, value) in [
            ("https://u:p@h/x", "https://h/x", Some("Basic dTpw")),
            ("https://user:pa%40ss@h:8/", "https://h:8/", Some("Basic dXNlcjpwYUBzcw==")),
            ("https://token@h", "https://h", Some("Basic dG9rZW4=")),
            ("https://h/a@b", "https://h/a@b", None),
        ] {
            assert_eq!(split_credentials(url), (clean.to_owned(), value.map(str::to_owned)), "{url}");
        }
        assert_eq!(redact("https://u:p@h/x?key=secret#f"), "https://h/x");
    }

    #[test]
    fn file_names_come_from_the_path() {
        for (url, expected) in [
            ("https://h/a/b%20c.gguf?x=1", Some("b c.gguf")),
            ("https://h/", None),
            ("https://h", None),
            ("https://h/a%", Some("a%")),
            ("https://h/%zz.gguf", Some("%zz.gguf")),
        ] {
            assert_eq!(file_name(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(encode_path("a b/ü#.gguf"), "a%20b/%C3%BC%23.gguf");
    }
}
