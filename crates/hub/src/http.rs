//! HTTP: one request as a stream of messages, small documents, and the patience with servers that refuse or break off.
//!
//! Each request runs in a thread of its own that hands over what arrives through a short channel. The caller's side
//! never blocks for longer than a glance, so a raised cancel flag is obeyed at once even when the server is silent; the
//! abandoned thread ends with its next message or at the idle timeout.
//!
//! Source: RFC 9110 (ranges §14, Retry-After §10.2.3).

use crate::options::{HubOptions, Retries};
use crate::progress::{GLANCE, Phase, Watch};
use crate::{HubError, url};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use ureq::ResponseExt;
use ureq::http::HeaderMap;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Redirects followed for one request; hubs use one or two.
const REDIRECT_LIMIT: u32 = 10;
/// Largest index page or file list that is read. The largest pages of the package index are some 30 MB.
const DOCUMENT_LIMIT: usize = 64 << 20;
/// Read at once from the connection.
const PIECE: usize = 128 << 10;
/// A file that has grown by this much counts as progress and renews the patience.
const WORTHWHILE: u64 = 64 << 10;

/// A GET request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) url: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) authorization: Option<String>,
    /// Ask for the bytes from here on.
    pub(crate) from: u64,
    /// … but only if the file is still the one with this ETag or date.
    pub(crate) if_range: Option<String>,
}

/// Status line and headers of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The address that answered, after redirects.
    pub(crate) url: String,
    headers: HeaderMap,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// Length of the body as it will be handed over: unknown when it is compressed on the way.
    pub(crate) fn length(&self) -> Option<u64> {
        let plain = self.header("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        if plain { self.header("content-length")?.parse().ok() } else { None }
    }

    /// First byte and total of `Content-Range: bytes 5-9/10`; for `bytes */10` there is no first byte.
    pub(crate) fn content_range(&self) -> Option<(Option<u64>, Option<u64>)> {
        let (range, total) = self.header("content-range")?.strip_prefix("bytes")?.trim_start().split_once('/')?;
        let first = match range.trim() {
            "*" => None,
            range => Some(range.split_once('-')?.0.trim().parse().ok()?),
        };
        Some((first, total.trim().parse().ok()))
    }

    /// Something by which the server recognises this version of the file: a strong ETag, else the date.
    pub(crate) fn validator(&self) -> Option<String> {
        match self.header("etag") {
            Some(etag) if !etag.starts_with("W/") => Some(etag.to_owned()),
            _ => self.header("last-modified").map(str::to_owned),
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(Duration::from_secs)
    }
}

/// Why a request ended without a complete answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection was refused, broken or silent; the next may do better.
    Lost(String),
    /// The host has no address.
    HostUnknown,
    Certificate(String),
    Redirects,
    /// The request itself is at fault.
    Unusable(String),
}

pub(crate) enum Message {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    Failed(Failure),
}

/// What a request brings, in order: `Head`, `Bytes`…, then `End` or `Failed`.
pub(crate) struct Stream(Receiver<Message>);

impl Stream {
    pub(crate) fn next(&self, watch: &Watch<'_>) -> Result<Message, HubError> {
        loop {
            watch.check()?;
            match self.0.recv_timeout(GLANCE) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Message::Failed(Failure::Lost("the connection ended".into())));
                }
            }
        }
    }
}

/// A small answer read to its end.
pub(crate) struct Document {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Document {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, HubError> {
        serde_json::from_slice(&self.body)
            .map_err(|e| HubError::Answer { url: url::redact(&self.head.url), reason: e.to_string() })
    }
}

/// Connections of one resolve: proxies, certificates and timeouts applied.
pub(crate) struct Client {
    https: ureq::Agent,
    http: ureq::Agent,
    pub(crate) retries: Retries,
}

impl Client {
    pub(crate) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let certificates = trusted(options.certificate_file.as_deref())?;
        let agent = |proxy: &Option<String>| -> Result<ureq::Agent, HubError> {
            let proxy = proxy.as_deref().map(|setting| parse_proxy(setting, &options.no_proxy)).transpose()?;
            let tls = TlsConfig::builder().root_certs(certificates.clone()).build();
            let config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(REDIRECT_LIMIT)
                .proxy(proxy)
                .tls_config(tls)
                .user_agent(concat!("ascua/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(options.connect_timeout))
                .timeout_connect(Some(options.connect_timeout))
                .timeout_recv_response(Some(options.idle_timeout))
                .timeout_per_read(Some(options.idle_timeout))
                .timeout_per_write(Some(options.idle_timeout));
            Ok(config.build().new_agent())
        };
        Ok(Client { https: agent(&options.https_proxy)?, http: agent(&options.http_proxy)?, retries: options.retries })
    }

    /// Starts a request.
    pub(crate) fn send(&self, request: Request) -> Stream {
        let secure = request.url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        let agent = if secure { self.https.clone() } else { self.http.clone() };
        let (sender, receiver) = sync_channel(8);
        let refused = sender.clone();
        if let Err(e) =
            thread::Builder::new().name("download".into()).spawn(move || exchange(&agent, &request, &sender))
        {
            let _ = refused.send(Message::Failed(Failure::Unusable(format!("no thread for the download: {e}"))));
        }
        Stream(receiver)
    }

    /// Fetches a small document, patiently.
    pub(crate) fn document(&self, request: &Request, watch: &mut Watch<'_>) -> Result<Document, HubError> {
        let mut patience = Patience::new(self.retries, &request.url);
        'attempt: loop {
            let stream = self.send(request.clone());
            let head = match stream.next(watch)? {
                Message::Head(head) => head,
                Message::Failed(failure) => {
                    patience.failed(failure, watch)?;
                    continue;
                }
                Message::Bytes(_) | Message::End => continue,
            };
            if head.status != 200 {
                patience.refused(&head, watch)?;
                continue;
            }
            let mut body = Vec::new();
            loop {
                match stream.next(watch)? {
                    Message::Bytes(bytes) if body.len() + bytes.len() > DOCUMENT_LIMIT => {
                        let reason = format!("it is longer than {DOCUMENT_LIMIT} bytes");
                        return Err(HubError::Answer { url: url::redact(&request.url), reason });
                    }
                    Message::Bytes(bytes) => body.extend_from_slice(&bytes),
                    Message::End => return Ok(Document { head, body }),
                    Message::Failed(failure) => {
                        patience.failed(failure, watch)?;
                        continue 'attempt;
                    }
                    Message::Head(_) => {}
                }
            }
        }
    }
}

/// Decides after each failure whether and when to try again.
pub(crate) struct Patience {
    retries: Retries,
    url: String,
    failures: u32,
    /// Length of the file when the patience was renewed last.
    reached: u64,
    answered: bool,
}

impl Patience {
    pub(crate) fn new(retries: Retries, address: &str) -> Self {
        Patience { retries, url: url::redact(address), failures: 0, reached: 0, answered: false }
    }

    /// The file has this length from an earlier call.
    pub(crate) fn starts_at(&mut self, length: u64) {
        self.reached = length;
    }

    /// Bytes arrived and the file is this long now. Only more than ever before is progress: a server that ignores ranges
    /// and breaks off each time sends plenty of bytes and gets nowhere.
    pub(crate) fn reached(&mut self, length: u64) {
        self.answered = true;
        if length >= self.reached.saturating_add(WORTHWHILE) {
            self.failures = 0;
            self.reached = length;
        }
    }

    /// Waits before the next attempt after a broken connection, or says why there is none.
    pub(crate) fn failed(&mut self, failure: Failure, watch: &mut Watch<'_>) -> Result<(), HubError> {
        let url = self.url.clone();
        let (message, last) = match failure {
            Failure::Certificate(message) => return Err(HubError::Tls { url, message }),
            Failure::Redirects => return Err(HubError::Redirects { url, limit: REDIRECT_LIMIT }),
            Failure::Unusable(message) => (message, true),
            // A name that was never found is wrong or there is no network; one that was found before may come back.
            Failure::HostUnknown => ("the host is not found".into(), !self.answered),
            Failure::Lost(message) => (message, false),
        };
        self.failures += 1;
        if last || self.failures >= self.retries.attempts {
            return Err(HubError::Network { url, message, attempts: self.failures });
        }
        self.wait(None, watch)
    }

    /// Waits before the next attempt after a refusal, or says why there is none.
    pub(crate) fn refused(&mut self, head: &Head, watch: &mut Watch<'_>) -> Result<(), HubError> {
        let (url, status) = (self.url.clone(), head.status);
        self.answered = true;
        self.failures += 1;
        let attempts = self.failures;
        match status {
            404 | 410 => return Err(HubError::NotFound { url, status }),
            401 | 403 | 407 => return Err(HubError::Denied { url, status }),
            408 | 425 | 429 | 500 | 502..=504 | 506..=599 if attempts < self.retries.attempts => {}
            _ => return Err(HubError::Status { url, status, attempts }),
        }
        let asked = head.retry_after();
        if let Some(asked) = asked
            && asked > self.retries.longest_delay
        {
            let limit = self.retries.longest_delay.as_secs();
            return Err(HubError::RateLimited { url, seconds: asked.as_secs(), limit });
        }
        self.wait(asked, watch)
    }

    fn wait(&self, asked: Option<Duration>, watch: &mut Watch<'_>) -> Result<(), HubError> {
        let doubled = self.retries.first_delay.saturating_mul(1 << (self.failures.saturating_sub(1)).min(16));
        let pause = doubled.max(asked.unwrap_or_default()).min(self.retries.longest_delay);
        watch.tell(Phase::Retrying, u64::from(self.failures), Some(u64::from(self.retries.attempts)));
        watch.pause(pause)
    }
}

/// The thread of a request. A receiver that has gone away ends it.
fn exchange(agent: &ureq::Agent, request: &Request, sender: &SyncSender<Message>) {
    let mut builder = agent.get(&request.url);
    if let Some(accept) = request.accept {
        builder = builder.header("accept", accept);
    }
    if let Some(authorization) = &request.authorization {
        builder = builder.header("authorization", authorization);
    }
    if request.from > 0 {
        builder = builder.header("range", format!("bytes={}-", request.from));
        if let Some(validator) = &request.if_range {
            builder = builder.header("if-range", validator);
        }
    }
    let response = match builder.call() {
        Ok(response) => response,
        Err(error) => {
            let _ = sender.send(Message::Failed(classify(error)));
            return;
        }
    };
    let url = response.get_uri().to_string();
    let (parts, body) = response.into_parts();
    if sender.send(Message::Head(Head { status: parts.status.as_u16(), url, headers: parts.headers })).is_err() {
        return;
    }
    let mut reader = body.into_reader();
    let mut buffer = vec![0; PIECE];
    loop {
        let message = match reader.read(&mut buffer) {
            Ok(0) => Message::End,
            Ok(read) => Message::Bytes(buffer[..read].to_vec()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => Message::Failed(classify(e.into())),
        };
        let more = matches!(message, Message::Bytes(_));
        if sender.send(message).is_err() || !more {
            return;
        }
    }
}

fn classify(error: ureq::Error) -> Failure {
    use ureq::Error;
    match error {
        Error::HostNotFound => Failure::HostUnknown,
        Error::TooManyRedirects => Failure::Redirects,
        Error::Rustls(e) => Failure::Certificate(e.to_string()),
        Error::Tls(e) => Failure::Certificate(e.into()),
        Error::Pem(e) => Failure::Certificate(e.to_string()),
        Error::Timeout(at) => Failure::Lost(format!("no answer in time ({at})")),
        Error::Io(e) if is_certificate(&e) => Failure::Certificate(e.to_string()),
        Error::Io(e) if is_unknown_host(&e) => Failure::HostUnknown,
        Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => Failure::Lost("the connection broke off".into()),
        Error::Io(e) => Failure::Lost(e.to_string()),
        e @ (Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl | Error::RedirectFailed) => {
            Failure::Unusable(e.to_string())
        }
        Error::ConnectProxyFailed(e) => Failure::Unusable(format!("the proxy refuses the connection: {e}")),
        other => Failure::Lost(other.to_string()),
    }
}

/// The standard library has no kind for a failed name lookup: on Unix its words tell, on Windows the code (WSAHOST_NOT_FOUND
/// and its neighbours).
fn is_unknown_host(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(11001..=11004)) && cfg!(windows)
        || error.to_string().starts_with("failed to lookup address information")
}

/// TLS reports a refused certificate through the stream it wraps.
fn is_certificate(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}

/// The certificates to trust: those of the named file, else the system's, else (a machine without any) the built-in list.
fn trusted(file: Option<&Path>) -> Result<RootCerts, HubError> {
    let Some(path) = file else {
        let system = rustls_native_certs::load_native_certs().certs;
        let system: Vec<_> = system.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        return Ok(if system.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&system) });
    };
    let refuse = |message: String| HubError::Certificates { path: path.to_owned(), message };
    let pem = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| refuse(e.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(refuse("it holds no certificate in PEM form".into()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// A proxy setting with its exceptions: as in curl, `example.com` stands for its subdomains too.
fn parse_proxy(setting: &str, exceptions: &str) -> Result<ureq::Proxy, HubError> {
    let refuse = |e: ureq::Error| HubError::Proxy { proxy: url::redact(setting), message: e.to_string() };
    let parsed = ureq::Proxy::new(setting).map_err(refuse)?;
    let mut builder = ureq::Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(username) = parsed.username() {
        builder = builder.username(username);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in exceptions.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty()) {
        let host = host.split_once(':').map_or(host, |(name, _)| name);
        builder = builder.no_proxy(host);
        let bare = host.trim_start_matches('.');
        if bare != "*" && !bare.is_empty() {
            builder = builder.no_proxy(bare).no_proxy(&format!(".{bare}"));
        }
    }
    builder.build().map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn head(status: u16, headers: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = ureq::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, value.parse().unwrap());
        }
        Head { status, url: "https://h/".into(), headers: map }
    }

    #[test]
    fn content_ranges_are_read() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5-9/*", Some((Some(5), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("bytes x-9/10", None),
            ("pages 1-2/3", None),
            ("bytes", None),
        ] {
            assert_eq!(head(206, &[("content-range", value)]).content_range(), expected, "{value}");
        }
    }

    #[test]
    fn only_strong_etags_and_dates_continue_a_download() {
        assert_eq!(head(200, &[("etag", "\"a\"")]).validator().as_deref(), Some("\"a\""));
        assert_eq!(head(200, &[("etag", "W/\"a\"")]).validator(), None);
        assert_eq!(head(200, &[("etag", "W/\"a\""), ("last-modified", "d")]).validator().as_deref(), Some("d"));
    }

    #[test]
    fn a_compressed_body_has_no_known_length() {
        assert_eq!(head(200, &[("content-length", "5")]).length(), Some(5));
        assert_eq!(head(200, &[("content-length", "5"), ("content-encoding", "gzip")]).length(), None);
        assert_eq!(head(200, &[("content-length", "-5")]).length(), None);
    }

    #[test]
    fn statuses_are_final_or_tried_again() {
        for (status, retry_after, expected) in [
            (404, None, "not found"),
            (410, None, "not found"),
            (401, None, "denied"),
            (403, None, "denied"),
            (418, None, "status 418 (1 attempts)"),
            (501, None, "status 501 (1 attempts)"),
            (500, None, "status 500 (3 attempts)"),
            (429, Some("0"), "status 429 (3 attempts)"),
            (429, Some("3600"), "come back in 3600 s"),
        ] {
            let retries = Retries { attempts: 3, first_delay: Duration::ZERO, longest_delay: Duration::from_secs(1) };
            let (cancel, mut report) = (AtomicBool::new(false), |_: crate::Progress<'_>| {});
            let mut watch = Watch::new(&mut report, &cancel, "file");
            let mut patience = Patience::new(retries, "https://h/");
            let headers: Vec<_> = retry_after.map(|value| ("retry-after", value)).into_iter().collect();
            let error = loop {
                if let Err(error) = patience.refused(&head(status, &headers), &mut watch) {
                    break error.to_string();
                }
            };
            assert!(error.contains(expected), "{status}: {error}");
        }
    }

    #[test]
    fn exceptions_of_the_proxy_include_subdomains() {
        let proxy = parse_proxy("http://me:pw@proxy:3128", "localhost, example.com,.internal,10.0.0.1:80").unwrap();
        for (address, bypass) in [
            ("http://localhost/", true),
            ("http://example.com/", true),
            ("http://a.example.com/", true),
            ("http://notexample.com/", false),
            ("http://a.internal/", true),
            ("http://10.0.0.1/", true),
            ("http://other/", false),
        ] {
            assert_eq!(proxy.is_no_proxy(&address.parse().unwrap()), bypass, "{address}");
        }
        let error = parse_proxy("gopher://me:secret@p", "").unwrap_err().to_string();
        assert!(error.contains("gopher://p") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn certificate_files_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for path in [empty, directory.path().join("missing.pem")] {
            let error = trusted(Some(&path)).unwrap_err();
            assert!(matches!(error, HubError::Certificates { .. }), "{error}");
        }
    }
}
