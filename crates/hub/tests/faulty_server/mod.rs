//! A web server for tests that follows a script: each file has a list of answers, one per request, the last repeated.
//! It can cut connections, lie about lengths, ignore ranges, drip, fall silent and redirect.

#![allow(dead_code, missing_docs)]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[derive(Debug, Clone)]
pub enum Answer {
    /// As it should be: ranges, ETag, the right length.
    Proper,
    /// The same with another ETag and the bytes turned round: the file was replaced at the source.
    Replaced,
    /// Always the whole file with status 200.
    IgnoresRange,
    /// Announces everything and closes after so many bytes.
    Cut(usize),
    /// Sends so many bytes and then nothing, keeping the connection.
    Silent(usize),
    /// Sends pieces of so many bytes with a short pause after each.
    Drip(usize),
    /// Announces so many bytes, whatever there is.
    Announces(u64),
    /// A part that was not asked for.
    WrongRange,
    /// In chunks, without length.
    Chunked,
    /// In chunks, with a chunk missing and no end.
    ChunkedCut,
    /// No headers, no answer: closes at once.
    Closes,
    /// Something that is no HTTP.
    Garbage,
    /// A status and extra header lines.
    Status(u16, &'static str),
    /// Somewhere else.
    Redirect(String),
    /// Asks for this `Authorization`, else 401.
    Guarded(&'static str),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

struct File {
    body: Vec<u8>,
    kind: &'static str,
    headers: String,
    answers: VecDeque<Answer>,
}

#[derive(Default)]
struct State {
    files: Mutex<HashMap<String, File>>,
    log: Mutex<Vec<Request>>,
    over: Mutex<bool>,
    ended: Condvar,
    stop: AtomicBool,
}

pub struct Server {
    pub address: String,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = shared.clone();
                thread::spawn(move || {
                    let _ = state.serve(connection);
                });
            }
        });
        Server { address, state, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Puts a file there with its script; an empty script means [`Answer::Proper`].
    pub fn file(&self, path: &str, body: impl Into<Vec<u8>>, answers: &[Answer]) {
        self.page(path, "application/octet-stream", body, answers);
    }

    pub fn page(&self, path: &str, kind: &'static str, body: impl Into<Vec<u8>>, answers: &[Answer]) {
        let answers = answers.iter().cloned().collect();
        let file = File { body: body.into(), kind, headers: String::new(), answers };
        locked(&self.state.files).insert(path.to_owned(), file);
    }

    /// Adds a header line to the answers of a file.
    pub fn header(&self, path: &str, line: &str) {
        if let Some(file) = locked(&self.state.files).get_mut(path) {
            file.headers.push_str(line);
            file.headers.push_str("\r\n");
        }
    }

    /// The requests so far for a path.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        locked(&self.state.log).iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        *locked(&self.state.over) = true;
        self.state.ended.notify_all();
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn serve(&self, connection: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
        let tunnel = line.starts_with("CONNECT ");
        let (mut range, mut authorization) = (None, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "range" => range = Some(value.trim().to_owned()),
                    "authorization" => authorization = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
        }
        let request = Request { path: path.clone(), range, authorization };
        locked(&self.log).push(request.clone());
        if tunnel {
            // As a proxy that plays all hosts itself.
            (&connection).write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            return self.serve(connection);
        }
        let script = {
            let mut files = locked(&self.files);
            files.get_mut(&path).map(|file| {
                let answer =
                    if file.answers.len() > 1 { file.answers.pop_front() } else { file.answers.front().cloned() };
                (
                    answer.unwrap_or(Answer::Proper),
                    file.body.clone(),
                    format!("Content-Type: {}\r\n{}", file.kind, file.headers),
                )
            })
        };
        match script {
            Some((answer, body, headers)) => self.answer(connection, &request, &answer, &body, &headers),
            None => write_head(&connection, 404, 0, ""),
        }
    }

    fn answer(
        &self,
        mut out: TcpStream,
        request: &Request,
        answer: &Answer,
        body: &[u8],
        headers: &str,
    ) -> std::io::Result<()> {
        let asked: Option<usize> =
            request.range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let turned: Vec<u8> = body.iter().take(4).chain(body[4.min(body.len())..].iter().rev()).copied().collect();
        let (body, etag) =
            if matches!(answer, Answer::Replaced) { (&turned[..], "\"new\"") } else { (body, "\"old\"") };
        let headers = format!("{headers}ETag: {etag}\r\n");
        match answer {
            Answer::Closes => return Ok(()),
            Answer::Garbage => return out.write_all(b"I am no web server\n\n"),
            Answer::Status(status, lines) => return write_head(&out, *status, 0, lines),
            Answer::Redirect(to) => return write_head(&out, 302, 0, &format!("Location: {to}\r\n")),
            Answer::Guarded(secret) if request.authorization.as_deref() != Some(secret) => {
                return write_head(&out, 401, 0, "");
            }
            Answer::IgnoresRange => {
                write_head(&out, 200, body.len() as u64, &headers)?;
                return out.write_all(body);
            }
            Answer::Announces(length) => {
                write_head(&out, 200, *length, &headers)?;
                return out.write_all(body);
            }
            Answer::Chunked | Answer::ChunkedCut => {
                write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n")?;
                let half = body.len() / 2;
                write!(out, "{half:x}\r\n")?;
                out.write_all(&body[..half])?;
                if matches!(answer, Answer::ChunkedCut) {
                    return Ok(());
                }
                write!(out, "\r\n{:x}\r\n", body.len() - half)?;
                out.write_all(&body[half..])?;
                return out.write_all(b"\r\n0\r\n\r\n");
            }
            _ => {}
        }
        let from = asked.unwrap_or(0);
        if from > 0 && from >= body.len() {
            return write_head(&out, 416, 0, &format!("Content-Range: bytes */{}\r\n", body.len()));
        }
        let rest = &body[from..];
        if from > 0 || matches!(answer, Answer::WrongRange) {
            let shown = if matches!(answer, Answer::WrongRange) { from + 1 } else { from };
            let range = format!("Content-Range: bytes {shown}-{}/{}\r\n", body.len() - 1, body.len());
            write_head(&out, 206, rest.len() as u64, &(headers + &range))?;
        } else {
            write_head(&out, 200, rest.len() as u64, &headers)?;
        }
        match answer {
            Answer::Cut(after) => out.write_all(&rest[..rest.len().min(*after)]),
            Answer::Silent(after) => {
                out.write_all(&rest[..rest.len().min(*after)])?;
                let over = locked(&self.over);
                let _wait = self.ended.wait_timeout_while(over, Duration::from_secs(60), |over| !*over);
                Ok(())
            }
            Answer::Drip(size) => rest.chunks(*size).try_for_each(|piece| {
                out.write_all(piece)?;
                let over = locked(&self.over);
                let _wait = self.ended.wait_timeout_while(over, Duration::from_millis(2), |over| !*over);
                Ok(())
            }),
            _ => out.write_all(rest),
        }
    }
}

fn write_head(mut out: &TcpStream, status: u16, length: u64, lines: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n")
}
