//! Downloads from a server that misbehaves in every way a server or a line can: the file comes out whole, or not at all
//! and with a message that says why.

mod faulty_server;

use ascua_hub::{Hub, HubError, HubOptions, Network, Phase, Progress, Retries, Source};
use faulty_server::{Answer, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// 300,000 bytes that begin like a model and repeat nowhere.
fn model() -> Vec<u8> {
    let mut state = 1u32;
    let noise = (0..299_996).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    b"GGUF".iter().copied().chain(noise).collect()
}

/// The bytes of [`model`] as [`Answer::Replaced`] sends them.
fn replaced() -> Vec<u8> {
    let model = model();
    model[..4].iter().chain(model[4..].iter().rev()).copied().collect()
}

fn options(home: &TempDir) -> HubOptions {
    HubOptions {
        cache: Some(home.path().to_owned()),
        idle_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(5),
        retries: Retries {
            attempts: 4,
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(900),
        },
        ..HubOptions::default()
    }
}

fn fetch(hub: &Hub, url: &str) -> Result<PathBuf, HubError> {
    let source: Source = url.parse()?;
    hub.resolve(&source, &mut |_| {}, &AtomicBool::new(false))
}

/// Files below a directory, by name, without locks.
fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else if !name.ends_with(".lock") {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn a_faulty_server_gives_the_whole_file_or_none() {
    use Answer::*;
    // The last is what the message says where the file must not come.
    let cases: Vec<(&str, Vec<Answer>, Option<&str>)> = vec![
        ("proper", vec![Proper], None),
        ("chunked", vec![Chunked], None),
        ("slow bytes", vec![Drip(20_000)], None),
        ("cut once", vec![Cut(100_000), Proper], None),
        ("cut at once", vec![Cut(0), Proper], None),
        ("cut, every time", vec![Cut(70_000)], None),
        ("cut without progress", vec![Cut(0)], Some("(4 attempts)")),
        ("chunks cut", vec![ChunkedCut, Proper], None),
        ("chunks cut, every time", vec![ChunkedCut], Some("attempts)")),
        ("silent once", vec![Silent(50_000), Proper], None),
        ("silent from the start", vec![Silent(0), Proper], None),
        ("silent every time", vec![Silent(0)], Some("no answer in time")),
        ("range ignored", vec![Cut(100_000), IgnoresRange], None),
        ("range ignored, cut again", vec![Cut(100_000), Cut(50_000), IgnoresRange], None),
        ("wrong range", vec![Cut(100_000), WrongRange, Proper], None),
        ("wrong range, every time", vec![WrongRange], Some("another range than the one asked for (4 attempts)")),
        ("replaced in between", vec![Cut(100_000), IgnoresRange], None),
        ("length too long", vec![Announces(300_001)], Some("(4 attempts)")),
        ("length too long once", vec![Announces(400_000), Proper], None),
        ("length zero", vec![Announces(0)], Some("begins with nothing instead of \"GGUF\"")),
        ("closes", vec![Closes, Closes, Proper], None),
        ("closes every time", vec![Closes], Some("(4 attempts)")),
        ("garbage", vec![Garbage, Proper], None),
        ("garbage every time", vec![Garbage], Some("(4 attempts)")),
        ("404", vec![Status(404, "")], Some("not found (status 404)")),
        ("403", vec![Status(403, "")], Some("access denied (status 403)")),
        ("500 once", vec![Status(500, ""), Proper], None),
        ("503 every time", vec![Status(503, "")], Some("status 503 (4 attempts)")),
        ("429 with a short pause", vec![Status(429, "Retry-After: 0\r\n"), Proper], None),
        ("429 with a long pause", vec![Status(429, "Retry-After: 7200\r\n")], Some("come back in 7200 s")),
        ("204", vec![Status(204, "")], Some("status 204")),
        ("redirect", vec![Redirect("/elsewhere.gguf".into())], None),
        ("redirect loop", vec![Redirect("/model.gguf".into())], Some("redirected more than 10 times")),
        ("redirect to nowhere", vec![Redirect("/nowhere".into())], Some("not found")),
        ("500 in the middle", vec![Cut(100_000), Status(502, ""), Status(429, ""), Proper], None),
        ("file gone in the middle", vec![Cut(100_000), Status(404, "")], Some("not found")),
    ];
    for (name, answers, expected) in cases {
        let (server, home) = (Server::start(), TempDir::new().unwrap());
        server.file("/model.gguf", model(), &answers);
        server.file("/elsewhere.gguf", model(), &[]);
        let hub = Hub::new(HubOptions { idle_timeout: Duration::from_millis(500), ..options(&home) });
        match (fetch(&hub, &server.url("/model.gguf")), expected) {
            (Ok(path), None) => {
                assert!(fs::read(&path).unwrap() == model(), "{name}: the content differs");
                assert_eq!(files_below(home.path()), ["manifest.json", "model.gguf"], "{name}");
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{name}: {error}");
                let left = files_below(home.path());
                assert!(left.iter().all(|file| file.contains(".part")), "{name}: {left:?}");
            }
            (Ok(_), Some(expected)) => panic!("{name}: fetched, instead of `{expected}`"),
            (Err(error), None) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn a_file_replaced_during_the_download_is_never_mixed() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    // The server of these tests takes no notice of `If-Range`, as some do: only the checksum of a listing can tell then.
    let sha256 = sha256(&replaced());
    let listing =
        format!(r#"[{{"type":"file","path":"m-Q4_K_M.gguf","size":300000,"lfs":{{"oid":"{sha256}","size":300000}}}}]"#);
    server.page("/api/models/o/r/tree/main?recursive=true", "application/json", listing, &[]);
    let path = "/o/r/resolve/main/m-Q4_K_M.gguf";
    server.file(path, model(), &[Answer::Cut(100_000), Answer::Replaced]);
    let hub = Hub::new(HubOptions { hugging_face: server.address.clone(), ..options(&home) });
    // Once the first bytes lie on the disk, a later call goes on with the new file, notices, and starts over.
    let error = interrupted(&hub, "hf:o/r", 50_000);
    assert!(matches!(error, HubError::Cancelled), "{error}");
    let found = fs::read(fetch(&hub, "hf:o/r").unwrap()).unwrap();
    assert!(found == replaced());
    let ranges: Vec<_> = server.requests(path).into_iter().map(|request| request.range.is_some()).collect();
    assert_eq!(ranges, [false, true, false]);
}

/// Raises the flag after so many bytes.
fn interrupted(hub: &Hub, source: &str, after: u64) -> HubError {
    let (source, cancel): (Source, _) = (source.parse().unwrap(), AtomicBool::new(false));
    let mut report = |progress: Progress<'_>| {
        if progress.phase == Phase::Downloading && progress.done >= after {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    hub.resolve(&source, &mut report, &cancel).unwrap_err()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_cancelled_download_goes_on_where_it_stopped() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[Answer::Drip(10_000), Answer::Proper]);
    let hub = Hub::new(options(&home));
    let error = interrupted(&hub, &server.url("/model.gguf"), 100_000);
    assert!(matches!(error, HubError::Cancelled), "{error}");
    assert_eq!(files_below(home.path()), ["model.gguf.part", "model.gguf.part.json"]);
    assert!(hub.list().is_empty());

    let mut first = None;
    let source: Source = server.url("/model.gguf").parse().unwrap();
    let mut report = |progress: Progress<'_>| {
        first.get_or_insert((progress.done, progress.total));
    };
    let path = hub.resolve(&source, &mut report, &AtomicBool::new(false)).unwrap();
    assert!(fs::read(path).unwrap() == model());
    let (done, total) = first.unwrap();
    assert!((100_000..300_000).contains(&done) && total == Some(300_000), "{done} of {total:?}");
    let ranges: Vec<_> = server.requests("/model.gguf").into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={done}-"))]);
}

#[test]
fn a_raised_flag_is_obeyed_while_the_server_is_silent() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[Answer::Silent(1000)]);
    let hub = Hub::new(HubOptions { idle_timeout: Duration::from_secs(600), ..options(&home) });
    let start = Instant::now();
    let error = interrupted(&hub, &server.url("/model.gguf"), 1000);
    assert!(matches!(error, HubError::Cancelled) && start.elapsed() < Duration::from_secs(30), "{error}");
}

#[test]
fn a_file_that_does_not_fit_on_the_disk_is_refused_with_numbers() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[Answer::Announces(1 << 60)]);
    let error = fetch(&Hub::new(options(&home)), &server.url("/model.gguf")).unwrap_err();
    if cfg!(unix) {
        assert!(matches!(error, HubError::DiskFull { needed, free: Some(_), .. } if needed == 1 << 60), "{error}");
        assert!(error.to_string().contains("model.gguf.part") && error.hint().is_some(), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_during_the_download_is_named() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[Answer::Cut(100_000), Answer::Proper]);
    let hub = Hub::new(options(&home));
    let url = server.url("/model.gguf");
    interrupted(&hub, &url, 1000);
    // Every write to this device fails as on a full disk.
    let part =
        fs::read_dir(home.path().join("models/url")).unwrap().flatten().next().unwrap().path().join("model.gguf.part");
    fs::remove_file(&part).unwrap();
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = fetch(&hub, &url).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { needed: 300_000, .. }), "{error}");
}

#[test]
fn one_of_many_fetches_and_the_others_wait() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[Answer::Drip(50_000)]);
    let hub = Hub::new(options(&home));
    let waited = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let source: Source = server.url("/model.gguf").parse().unwrap();
                let mut report = |progress: Progress<'_>| {
                    if progress.phase == Phase::Waiting {
                        waited.fetch_add(1, Ordering::Relaxed);
                    }
                };
                let path = hub.resolve(&source, &mut report, &AtomicBool::new(false)).unwrap();
                assert!(fs::read(path).unwrap() == model());
            });
        }
    });
    assert_eq!(server.requests("/model.gguf").len(), 1);
}

#[test]
fn addresses_of_split_models_bring_all_parts() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    for part in 1..=3 {
        server.file(&format!("/d/m-0000{part}-of-00003.gguf"), model(), &[]);
    }
    let hub = Hub::new(options(&home));
    let path = fetch(&hub, &server.url("/d/m-00002-of-00003.gguf")).unwrap();
    assert_eq!(path.file_name().unwrap(), "m-00001-of-00003.gguf");
    let expected = ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf", "manifest.json"];
    assert_eq!(files_below(home.path()), expected);
    assert_eq!(hub.list()[0].size, 900_000);
}

#[test]
fn an_error_page_with_status_200_is_no_model() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.page("/model.gguf", "text/html", "<html>log in first</html>", &[]);
    let hub = Hub::new(options(&home));
    let error = fetch(&hub, &server.url("/model.gguf")).unwrap_err();
    assert!(error.to_string().contains("begins with \"<htm\""), "{error}");
    assert!(files_below(home.path()).is_empty());
}

#[test]
fn a_fetched_model_needs_no_network_and_can_be_listed_and_removed() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[]);
    let url = server.url("/model.gguf");
    let offline = Hub::new(HubOptions { network: Network::Offline, ..options(&home) });
    let error = fetch(&offline, &url).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }) && error.hint().is_some(), "{error}");

    let hub = Hub::new(options(&home));
    let path = fetch(&hub, &url).unwrap();
    assert_eq!(fetch(&offline, &url).unwrap(), path);
    assert_eq!(server.requests("/model.gguf").len(), 1);

    let models = hub.list();
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].name.as_str(), &models[0].path, models[0].size), (url.as_str(), &path, 300_000));
    assert_eq!(models[0].sha256, sha256(&model()));

    // A file that was shortened is not complete any more and is fetched again.
    fs::write(&path, "GGUF").unwrap();
    assert!(hub.list().is_empty());
    assert!(fs::read(fetch(&hub, &url).unwrap()).unwrap() == model());

    assert!(matches!(hub.remove("model.guf"), Err(HubError::NotCached { .. })));
    assert!(hub.remove("model.gguf").unwrap() >= 300_000);
    assert!(hub.list().is_empty() && !path.exists());
    assert!(matches!(hub.remove(&url), Err(HubError::NotCached { .. })));
}

#[test]
fn unreachable_hosts_are_reported_with_the_way_out() {
    let home = TempDir::new().unwrap();
    let hub = Hub::new(options(&home));
    // Nothing listens on the port of a listener that is gone.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch(&hub, &format!("http://{address}/model.gguf")).unwrap_err();
    assert!(matches!(error, HubError::Network { attempts: 4, .. }), "{error}");
    assert!(error.hint().unwrap().contains("HTTPS_PROXY"));

    let options = HubOptions { http_proxy: Some("gopher://p".into()), ..options(&home) };
    let error = fetch(&Hub::new(options), "http://h/m.gguf").unwrap_err();
    assert!(matches!(error, HubError::Proxy { .. }), "{error}");
}

#[test]
fn requests_go_through_the_proxy_except_to_the_hosts_excepted() {
    let (server, proxy, home) = (Server::start(), Server::start(), TempDir::new().unwrap());
    server.file("/model.gguf", model(), &[]);
    proxy.file("/model.gguf", model(), &[]);
    let options =
        HubOptions { http_proxy: Some(proxy.address.clone()), no_proxy: "127.0.0.1".into(), ..options(&home) };
    let hub = Hub::new(options);
    fetch(&hub, &server.url("/model.gguf")).unwrap();
    assert_eq!((server.requests("/model.gguf").len(), proxy.requests("/model.gguf").len()), (1, 0));
    fetch(&hub, "http://model.test/model.gguf").unwrap();
    assert_eq!((server.requests("/model.gguf").len(), proxy.requests("/model.gguf").len()), (1, 1));
    assert_eq!(proxy.requests("model.test:80").len(), 1);
}

#[test]
fn local_files_are_checked_and_named() {
    let home = TempDir::new().unwrap();
    let hub = Hub::new(HubOptions::default());
    let file = home.path().join("model.gguf");
    fs::write(&file, "").unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    for (source, expected) in [
        (at("model.gguf"), Ok(file)),
        (at("modle.gguf"), Err("did you mean model.gguf?")),
        (at(""), Err("is a directory, not a model file; it holds model.gguf")),
        (at("no/such/dir/x"), Err("there is no file")),
        ("smolm2".to_owned(), Err("did you mean smollm2?")),
        ("no-such-thing-at-all".to_owned(), Err("no model is called")),
        ("smollm2".to_owned(), Err("no directory to keep models in")),
    ] {
        match (fetch(&hub, &source), expected) {
            (Ok(path), Ok(expected)) => assert_eq!(path, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{source}: {error}"),
            (found, expected) => panic!("{source}: {found:?} instead of {expected:?}"),
        }
    }
    let error = fetch(&hub, "owner/Model-GGUF").unwrap_err();
    assert!(error.hint().unwrap().contains("hf:owner/Model-GGUF"), "{error}");
}
