//! How many threads a job should have here: physical cores we may use, within our share of processor time.
//!
//! Sources: the scheduler's affinity mask and the control group's quota (both through
//! [`std::thread::available_parallelism`], which reads version 1 and 2 of control groups), and on Linux the topology
//! files under `/sys/devices/system/cpu`.

use std::collections::HashSet;
use std::path::Path;

/// Processors this process may use at once: affinity and control-group quota are respected, hyper-threads count.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The default number of threads: one for each physical core we may use, at most our quota of processor time.
pub fn available_threads() -> usize {
    allowed_processors().map_or_else(processors, |allowed| threads_among(&allowed))
}

/// The default number of threads on these processors.
pub(super) fn threads_among(allowed: &[usize]) -> usize {
    let most = processors().min(allowed.len()).max(1);
    match physical_cores(Path::new("/sys/devices/system/cpu"), allowed) {
        0 => most,
        cores => most.min(cores),
    }
}

/// The processors our affinity lets us use, where the system says so.
pub(super) fn allowed_processors() -> Option<Vec<usize>> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(parse_list(list)).filter(|processors| !processors.is_empty())
}

/// Number of distinct cores among some processors; zero if the topology is not known.
fn physical_cores(topology: &Path, processors: &[usize]) -> usize {
    let mut cores = HashSet::new();
    for processor in processors {
        let file = topology.join(format!("cpu{processor}/topology/thread_siblings_list"));
        match std::fs::read_to_string(file) {
            Ok(siblings) => cores.insert(siblings.trim().to_owned()),
            Err(_) => return 0,
        };
    }
    cores.len()
}

/// The numbers of a list such as `0-3,8,10-11`; malformed parts are left out, and no range is longer than 8192.
pub(super) fn parse_list(list: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            numbers.extend((first..=last).take(8192));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        for (text, expected) in [
            ("0\n", vec![0]),
            ("\t0-3", vec![0, 1, 2, 3]),
            ("0-1,8,10-11\n", vec![0, 1, 8, 10, 11]),
            ("", vec![]),
            ("x,2,3-", vec![2]),
            ("5-2", vec![]),
        ] {
            assert_eq!(parse_list(text), expected, "{text:?}");
        }
        assert_eq!(parse_list("0-18446744073709551615").len(), 8192);
    }

    #[test]
    fn cores_are_counted_once() {
        let root = std::env::temp_dir().join(format!("ascua-topology-{}", std::process::id()));
        for (cpu, siblings) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            let folder = root.join(format!("cpu{cpu}/topology"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("thread_siblings_list"), format!("{siblings}\n")).unwrap();
        }
        assert_eq!(physical_cores(&root, &[0, 1, 2, 3]), 2);
        assert_eq!(physical_cores(&root, &[0, 1]), 2);
        assert_eq!(physical_cores(&root, &[0, 2]), 1);
        assert_eq!(physical_cores(&root, &[0, 1, 2, 3, 4]), 0, "an unknown processor makes the answer unknown");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn there_is_at_least_one_thread() {
        assert!((1..=processors()).contains(&available_threads()));
    }
}
