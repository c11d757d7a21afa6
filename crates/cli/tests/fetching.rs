//! Models fetched from a server on this machine: progress, cache, interruption.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use support::{Bench, Ended};

/// The program with the network on, and no proxy between it and this machine.
fn online(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env_remove("ASCUA_OFFLINE").env("NO_PROXY", "*").env("no_proxy", "*");
    command
}

/// Reads the head of a request; none where the client only connected.
fn request(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).for_each(drop);
    Some(first)
}

#[test]
fn a_model_is_fetched_once_listed_and_removed() {
    let bench = Bench::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/tiny.gguf", server.local_addr().unwrap());
    let model = std::fs::read(&bench.model).unwrap();
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let Some(first) = request(&stream) else { continue };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", model.len());
            stream.write_all(head.as_bytes()).unwrap();
            if first.starts_with("GET") {
                stream.write_all(&model).unwrap();
            }
        }
    });
    let generate = ["run", &address, "the cat", "--seed", "7", "-n", "8", "--ignore-eos"];
    let ended = Ended::new(online(&bench, &generate).output().unwrap());
    assert!(ended.stderr.contains("downloading tiny.gguf"), "{ended:?}");
    assert!(!ended.stderr.contains('\x1b') && !ended.stderr.contains('\r'), "a bar outside of a terminal: {ended:?}");
    let text = ended.success();
    // From the cache now, without a word and without the network.
    let again = bench.run(&generate);
    assert_eq!((again.stderr.as_str(), &again.stdout), ("", &text));
    let listed: serde_json::Value = serde_json::from_str(&bench.run(&["list", "--json"]).success()).unwrap();
    assert_eq!(listed[0]["name"], address);
    assert_eq!(listed[0]["cached"], true);
    let path = listed[0]["path"].as_str().unwrap().to_owned();
    assert_eq!(bench.run(&["pull", &address]).success().trim(), path);
    assert!(bench.run(&["rm", &address]).stderr.contains("deleted"));
    assert!(!std::path::Path::new(&path).exists());
    assert_eq!(bench.run(&generate).code, Some(1));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_download() {
    use rustix::process::{Pid, Signal, kill_process};
    let bench = Bench::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/tiny.gguf", server.local_addr().unwrap());
    let child = online(&bench, &["pull", &address]).spawn().unwrap();
    // A server that never answers.
    let stream = server.accept().unwrap();
    assert!(request(&stream.0).is_some());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = Ended::new(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{ended:?}");
    assert!(ended.stderr.contains("stopped; the next call goes on"), "{ended:?}");
}
