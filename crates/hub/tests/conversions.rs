//! A directory is converted once, again when its files or the converter change, and its model is listed and removed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ascua_hub::{Hub, HubError, HubOptions, MakeError, Original};

/// Asks for the model; gives its path, and whether it was made.
fn made(hub: &Hub, directory: &Path, file_type: &str, converter: &str) -> (std::path::PathBuf, bool) {
    let mut made = false;
    let original = Original { directory, file_type, converter };
    let mut make = |out: &mut dyn Write| {
        made = true;
        out.write_all(b"mod").and_then(|()| out.write_all(b"el")).map_err(|error| MakeError::Failed(error.into()))
    };
    let path = hub.converted(original, &mut make, &mut |_| {}, &AtomicBool::new(false)).expect("it can be made");
    (path, made)
}

fn hub(cache: &Path) -> Hub {
    Hub::new(HubOptions { cache: Some(cache.to_owned()), ..HubOptions::default() })
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let (cache, original) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (hub, directory) = (hub(cache.path()), original.path());
    fs::write(directory.join("config.json"), "{}").unwrap();
    let (path, first) = made(&hub, directory, "Q8_0", "1");
    assert!(first && path.starts_with(cache.path()), "{}", path.display());
    assert_eq!(fs::read_to_string(&path).unwrap(), "model");
    assert_eq!(hub.list()[0].sha256, "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4");
    assert_eq!(made(&hub, directory, "Q8_0", "1"), (path.clone(), false));
    fs::write(directory.join("config.json"), "{ }").unwrap();
    assert_eq!(made(&hub, directory, "Q8_0", "1"), (path.clone(), true));
    fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    assert_eq!(made(&hub, directory, "Q8_0", "1"), (path.clone(), true));
    assert_eq!(made(&hub, directory, "Q8_0", "2"), (path.clone(), true));
    let (other, first) = made(&hub, directory, "Q4_K_M", "2");
    assert!(first && other != path);
    fs::write(&path, "cut").unwrap();
    assert_eq!(made(&hub, directory, "Q8_0", "2"), (path.clone(), true));

    let names: Vec<String> = hub.list().into_iter().map(|model| model.name).collect();
    let whole = directory.canonicalize().unwrap();
    assert_eq!(names, [format!("{}:Q4_K_M", whole.display()), format!("{}:Q8_0", whole.display())]);
    assert_eq!(hub.remove(&names[1]).expect("it is there"), 5, "the five bytes of `model`");
    assert!(!path.exists() && other.exists() && directory.join("config.json").exists());
}

#[test]
fn what_cannot_be_made_leaves_no_model() {
    let (cache, original) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = hub(cache.path());
    let wanted = Original { directory: original.path(), file_type: "Q8_0", converter: "1" };
    let ask = |error: fn() -> MakeError| {
        let mut make = |out: &mut dyn Write| {
            out.write_all(b"half").unwrap();
            Err(error())
        };
        hub.converted(wanted, &mut make, &mut |_| {}, &AtomicBool::new(false)).unwrap_err()
    };
    let failed = ask(|| MakeError::Failed("no weights".into()));
    assert!(matches!(failed, HubError::Make { .. }), "{failed}");
    assert!(matches!(ask(|| MakeError::Cancelled), HubError::Cancelled));
    assert!(hub.list().is_empty());
    let mut left = Vec::new();
    let mut directories = vec![cache.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { directories.push(entry) } else { left.push(entry) }
        }
    }
    left.retain(|file| fs::metadata(file).unwrap().len() > 0);
    assert!(left.is_empty(), "{left:?}");
}
