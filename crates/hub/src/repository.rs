//! Model hubs: listing a repository and choosing the GGUF file (or all parts of a split one) by quantisation tag.
//!
//! Hugging Face lists with `/api/models/ID/tree/REVISION`, ModelScope with `/api/v1/models/ID/repo/files`; both serve
//! `resolve/REVISION/PATH`, with ranges. Split files are named `…-00001-of-00003.gguf`.

use crate::http::{Client, Request};
use crate::options::HubOptions;
use crate::progress::Watch;
use crate::source::Repository;
use crate::{HubError, url};
use serde::Deserialize;

/// The quantisation taken when none is asked for.
const DEFAULT_TAG: &str = "Q4_K_M";
/// What is taken where the default is missing, in order.
const FALLBACK_TAGS: &[&str] =
    &["Q4_K_S", "Q4_K_L", "Q4_0", "Q4_1", "Q5_K_M", "IQ4_XS", "Q6_K", "Q8_0", "F16", "BF16", "F32"];
/// Pages of a file list that are followed; a page has up to 1000 entries.
const PAGE_LIMIT: usize = 50;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) path: String,
    pub(crate) url: String,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
    pub(crate) authorization: Option<String>,
}

impl RemoteFile {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// An entry of Hugging Face's list.
#[derive(Deserialize)]
struct TreeEntry {
    r#type: String,
    path: String,
    size: Option<u64>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    oid: String,
    size: Option<u64>,
}

/// The files of a repository on Hugging Face or a mirror of it.
pub(crate) fn hugging_face(
    client: &Client,
    options: &HubOptions,
    repository: &Repository,
    watch: &mut Watch<'_>,
) -> Result<Vec<RemoteFile>, HubError> {
    let (base, credentials) = url::split_credentials(options.hugging_face.trim_end_matches('/'));
    let authorization = options.hugging_face_token.as_ref().map(|token| format!("Bearer {token}")).or(credentials);
    let id = url::encode_path(&repository.id);
    let revision = url::encode_path(repository.revision.as_deref().unwrap_or("main")).replace('/', "%2F");
    let mut page = Some(format!("{base}/api/models/{id}/tree/{revision}?recursive=true"));
    let mut files = Vec::new();
    for _ in 0..PAGE_LIMIT {
        let Some(address) = page.take() else { break };
        let request = Request { url: address, authorization: authorization.clone(), ..Request::default() };
        let document = client.document(&request, watch)?;
        let entries: Vec<TreeEntry> = document.json()?;
        files.extend(entries.into_iter().filter(|entry| entry.r#type == "file").map(|entry| RemoteFile {
            url: format!("{base}/{id}/resolve/{revision}/{}", url::encode_path(&entry.path)),
            path: entry.path,
            size: entry.lfs.as_ref().and_then(|lfs| lfs.size).or(entry.size),
            sha256: entry.lfs.and_then(|lfs| checksum(&lfs.oid)),
            authorization: authorization.clone(),
        }));
        page = document
            .head
            .header("link")
            .and_then(next_page)
            .and_then(|link| url::join(&document.head.url, &link))
            // The token goes to the hub and nowhere else.
            .filter(|next| url::origin(next) == url::origin(&base));
    }
    Ok(files)
}

/// ModelScope's list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScopeAnswer {
    #[serde(default)]
    message: Option<String>,
    data: Option<ScopeData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScopeData {
    files: Option<Vec<ScopeFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScopeFile {
    path: String,
    size: Option<u64>,
    sha256: Option<String>,
    r#type: Option<String>,
}

/// The files of a repository on ModelScope.
pub(crate) fn model_scope(
    client: &Client,
    options: &HubOptions,
    repository: &Repository,
    watch: &mut Watch<'_>,
) -> Result<Vec<RemoteFile>, HubError> {
    let (base, authorization) = url::split_credentials(options.model_scope.trim_end_matches('/'));
    let id = url::encode_path(&repository.id);
    let revision = url::encode_path(repository.revision.as_deref().unwrap_or("master")).replace('/', "%2F");
    let address = format!("{base}/api/v1/models/{id}/repo/files?Revision={revision}&Recursive=true");
    let request = Request { url: address.clone(), authorization: authorization.clone(), ..Request::default() };
    let answer: ScopeAnswer = client.document(&request, watch)?.json()?;
    let Some(files) = answer.data.and_then(|data| data.files) else {
        let reason = answer.message.filter(|m| !m.is_empty()).unwrap_or_else(|| "it lists no files".into());
        return Err(HubError::Answer { url: url::redact(&address), reason });
    };
    let files = files.into_iter().filter(|file| file.r#type.as_deref() != Some("tree"));
    Ok(files
        .map(|file| RemoteFile {
            url: format!("{base}/models/{id}/resolve/{revision}/{}", url::encode_path(&file.path)),
            path: file.path,
            size: file.size,
            sha256: file.sha256.as_deref().and_then(checksum),
            authorization: authorization.clone(),
        })
        .collect())
}

/// The files to fetch: one, or all parts of a split model, first part first.
pub(crate) fn choose(files: Vec<RemoteFile>, repository: &Repository) -> Result<Vec<RemoteFile>, HubError> {
    let models: Vec<Model> = models(files);
    let wanted = repository.choice.as_deref();
    let refuse = |models: &[Model]| HubError::NoQuantisation {
        repository: repository.id.clone(),
        wanted: wanted.unwrap_or(DEFAULT_TAG).to_owned(),
        available: models.iter().map(|model| model.stem.clone() + ".gguf").collect(),
    };
    let found = match wanted {
        Some(file) if file.to_ascii_lowercase().ends_with(".gguf") => models.iter().position(|model| {
            model.parts.iter().any(|part| part.path == file || part.name() == file)
                || model.stem.strip_suffix(file).is_some()
                || file.strip_suffix(".gguf") == Some(model.stem.as_str())
        }),
        Some(tag) => tagged(&models, tag),
        None => std::iter::once(&DEFAULT_TAG)
            .chain(FALLBACK_TAGS)
            .find_map(|tag| tagged(&models, tag))
            .or((models.len() == 1).then_some(0)),
    };
    let Some(position) = found else { return Err(refuse(&models)) };
    let model = &models[position];
    match model.count {
        Some(count) if count != model.parts.len() => Err(HubError::NoQuantisation {
            repository: repository.id.clone(),
            wanted: format!("{} in {count} parts", model.stem),
            available: model.parts.iter().map(|part| part.path.clone()).collect(),
        }),
        _ => Ok(model.parts.clone()),
    }
}

/// A model of the repository: one file, or the parts of a split one.
struct Model {
    /// Path without part number and ending.
    stem: String,
    /// Number of parts the names speak of.
    count: Option<usize>,
    parts: Vec<RemoteFile>,
}

fn models(mut files: Vec<RemoteFile>) -> Vec<Model> {
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut models: Vec<Model> = Vec::new();
    for file in files {
        let lower = file.name().to_ascii_lowercase();
        // Companions that are no language models: vision projectors, importance matrices.
        if !lower.ends_with(".gguf") || lower.contains("mmproj") || lower.contains("imatrix") {
            continue;
        }
        let (stem, count) = match split_name(&file.path) {
            Some(split) => (split.stem.to_owned(), Some(split.count)),
            None => (file.path[..file.path.len() - ".gguf".len()].to_owned(), None),
        };
        match models.iter_mut().find(|model| model.stem == stem && model.count == count && count.is_some()) {
            Some(model) => model.parts.push(file),
            None => models.push(Model { stem, count, parts: vec![file] }),
        }
    }
    models
}

/// `stem-00002-of-00003.gguf`.
pub(crate) struct SplitName<'a> {
    pub(crate) stem: &'a str,
    pub(crate) count: usize,
}

/// Recognises the name of a part of a split file.
pub(crate) fn split_name(path: &str) -> Option<SplitName<'_>> {
    const TAIL: usize = "-00001-of-00001".len();
    let whole = path.len().checked_sub(".gguf".len()).filter(|&at| path.is_char_boundary(at))?;
    if !path[whole..].eq_ignore_ascii_case(".gguf") {
        return None;
    }
    let cut = whole.checked_sub(TAIL).filter(|&at| path.is_char_boundary(at))?;
    let (number, count) = path[cut..whole].strip_prefix('-')?.split_once("-of-")?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (digits(number) && digits(count)).then_some(())?;
    let count: usize = count.parse().ok()?;
    (count > 0).then_some(SplitName { stem: &path[..cut], count })
}

/// The model whose name holds the tag as a word of its own; of several the one with the shortest name.
fn tagged(models: &[Model], tag: &str) -> Option<usize> {
    let tag = tag.to_lowercase();
    let fits = |stem: &str| {
        let stem = stem.to_lowercase();
        stem.match_indices(&tag).any(|(at, _)| {
            let before = stem[..at].chars().next_back().is_none_or(|c| matches!(c, '-' | '.' | '_' | '/'));
            let after = stem[at + tag.len()..].chars().next().is_none_or(|c| matches!(c, '-' | '.' | '/'));
            before && after
        })
    };
    let candidates = models.iter().enumerate().filter(|(_, model)| fits(&model.stem));
    candidates.min_by_key(|(_, model)| model.stem.len()).map(|(position, _)| position)
}

fn checksum(text: &str) -> Option<String> {
    let text = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

/// The address marked `rel="next"` in a `Link` header.
fn next_page(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, attributes) = link.trim().strip_prefix('<')?.split_once('>')?;
        attributes.contains("rel=\"next\"").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], choice: Option<&str>) -> Result<Vec<String>, String> {
        let files = paths.iter().map(|path| RemoteFile {
            path: (*path).to_owned(),
            url: String::new(),
            size: None,
            sha256: None,
            authorization: None,
        });
        let repository = Repository { id: "o/r".into(), revision: None, choice: choice.map(str::to_owned) };
        match choose(files.collect(), &repository) {
            Ok(files) => Ok(files.into_iter().map(|file| file.path).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn files_are_chosen_by_tag() {
        let many = [
            "README.md",
            "m-Q4_K_M.gguf",
            "m-Q4_K_S.gguf",
            "m-Q4_0.gguf",
            "m-UD-Q4_K_M.gguf",
            "m.f16.gguf",
            "mmproj-F16.gguf",
            "big/m-Q8_0-00002-of-00002.gguf",
            "big/m-Q8_0-00001-of-00002.gguf",
            "m-Q3_K-00001-of-00002.gguf",
        ];
        for (paths, choice, expected) in [
            (&many[..], None, Ok(vec!["m-Q4_K_M.gguf"])),
            (&many[..], Some("q4_k_s"), Ok(vec!["m-Q4_K_S.gguf"])),
            (&many[..], Some("UD-Q4_K_M"), Ok(vec!["m-UD-Q4_K_M.gguf"])),
            (&many[..], Some("F16"), Ok(vec!["m.f16.gguf"])),
            (&many[..], Some("Q8_0"), Ok(vec!["big/m-Q8_0-00001-of-00002.gguf", "big/m-Q8_0-00002-of-00002.gguf"])),
            (&many[..], Some("m-Q4_0.gguf"), Ok(vec!["m-Q4_0.gguf"])),
            (&many[..], Some("mmproj-F16.gguf"), Err("no GGUF file `mmproj-F16.gguf`")),
            (&many[..], Some("Q4_K"), Err("no GGUF file `Q4_K`; there are ")),
            (&many[..], Some("Q3_K"), Err("m-Q3_K in 2 parts")),
            (&many[3..4], None, Ok(vec!["m-Q4_0.gguf"])),
            (&["only.gguf"], None, Ok(vec!["only.gguf"])),
            (&["a.gguf", "b.gguf"], None, Err("Q4_K_M")),
            (&["README.md"], None, Err("no GGUF file")),
            (&["m-Q6_K.gguf", "m-Q8_0.gguf"], None, Ok(vec!["m-Q6_K.gguf"])),
        ] {
            match (chosen(paths, choice), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{choice:?}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{choice:?}: {found}"),
                (found, expected) => panic!("{choice:?}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn split_names_are_recognised() {
        for (path, expected) in [
            ("a/m-00001-of-00003.gguf", Some(("a/m", 3))),
            ("m-00001-of-00000.gguf", None),
            ("m-1-of-3.gguf", None),
            ("-00001-of-00003.gguf", Some(("", 3))),
            ("é-0000é-of-00003.gguf", None),
            (".gguf", None),
            ("é", None),
        ] {
            let found = split_name(path).map(|split| (split.stem, split.count));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next_page("<https://h/a?c=1>; rel=\"next\"").as_deref(), Some("https://h/a?c=1"));
        assert_eq!(next_page("<https://h/b>; rel=\"prev\", <c>; rel=\"next\"").as_deref(), Some("c"));
        assert_eq!(next_page("nonsense"), None);
    }
}
