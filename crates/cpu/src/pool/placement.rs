//! Which processors the workers of a pool run on.
//!
//! A placement is a list of sets of processors; worker `i` runs on any processor of set `i`, counted around. It is checked
//! when it is made, so that binding a thread cannot fail later but by a processor being taken away. Sources:
//! `sched_setaffinity(2)`, and on Linux the nodes of memory under `/sys/devices/system/node`.

use std::path::Path;

use super::available::{allowed_processors, parse_list};

/// Where workers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Empty: wherever the operating system puts them.
    sets: Vec<Vec<usize>>,
}

/// A placement that this machine cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// No processor was named.
    #[error("no processor is named")]
    Empty,
    /// A processor is not there, or not ours.
    #[error("processor {processor} is not one of those this program may use ({allowed})")]
    NotAllowed {
        /// The processor, counted from 0.
        processor: usize,
        /// Those it may use, as a list.
        allowed: String,
    },
    /// The operating system does not say or does not let us choose.
    #[error("threads cannot be bound to processors on this system")]
    Unsupported,
    /// The nodes of memory are not known.
    #[error("this system does not say which processors belong to which memory (NUMA) node")]
    NoNodes,
}

impl Placement {
    /// Every worker on any of these processors, counted from 0.
    ///
    /// # Errors
    /// None is named, one may not be used, or the system cannot bind threads.
    pub fn within(processors: &[usize]) -> Result<Placement, PlacementError> {
        Placement::checked(vec![processors.to_vec()])
    }

    /// Each worker on a processor of its own, in their order; with more workers than processors, around again.
    ///
    /// # Errors
    /// As [`Placement::within`].
    pub fn one_each(processors: &[usize]) -> Result<Placement, PlacementError> {
        Placement::checked(processors.iter().map(|processor| vec![*processor]).collect())
    }

    /// Workers take turns among the memory nodes, so that each node's memory and bandwidth serve a like share of them.
    ///
    /// # Errors
    /// The nodes are not known, or as [`Placement::within`].
    pub fn over_nodes() -> Result<Placement, PlacementError> {
        Placement::checked(nodes(Path::new(NODES), &allowed()?)?)
    }

    /// Every worker on the memory node that the calling thread runs on.
    ///
    /// # Errors
    /// As [`Placement::over_nodes`].
    pub fn on_this_node() -> Result<Placement, PlacementError> {
        let here = binding::current_processor().ok_or(PlacementError::NoNodes)?;
        let nodes = nodes(Path::new(NODES), &allowed()?)?;
        let own = nodes.into_iter().find(|node| node.contains(&here)).ok_or(PlacementError::NoNodes)?;
        Placement::checked(vec![own])
    }

    /// The processors it names, without repetition; `None`: whatever there is.
    pub fn processors(&self) -> Option<Vec<usize>> {
        let mut all = self.sets.concat();
        all.sort_unstable();
        all.dedup();
        (!all.is_empty()).then_some(all)
    }

    fn checked(sets: Vec<Vec<usize>>) -> Result<Placement, PlacementError> {
        let allowed = allowed()?;
        if sets.iter().all(Vec::is_empty) {
            return Err(PlacementError::Empty);
        }
        match sets.iter().flatten().find(|processor| !allowed.contains(processor)) {
            Some(processor) => Err(PlacementError::NotAllowed { processor: *processor, allowed: as_list(&allowed) }),
            None => Ok(Placement { sets }),
        }
    }

    /// Binds the calling thread as worker `index`.
    pub(super) fn bind(&self, index: usize) {
        if !self.sets.is_empty() {
            binding::bind(&self.sets[index % self.sets.len()]);
        }
    }
}

const NODES: &str = "/sys/devices/system/node";

fn allowed() -> Result<Vec<usize>, PlacementError> {
    allowed_processors().filter(|_| binding::SUPPORTED).ok_or(PlacementError::Unsupported)
}

/// The processors of each memory node that are among `allowed`; nodes without any are left out.
fn nodes(folder: &Path, allowed: &[usize]) -> Result<Vec<Vec<usize>>, PlacementError> {
    let mut numbers: Vec<usize> = std::fs::read_dir(folder)
        .map_err(|_| PlacementError::NoNodes)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("node")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let own = |number: &usize| {
        let list = std::fs::read_to_string(folder.join(format!("node{number}/cpulist"))).ok()?;
        let own: Vec<usize> = parse_list(&list).into_iter().filter(|processor| allowed.contains(processor)).collect();
        (!own.is_empty()).then_some(own)
    };
    let nodes: Vec<Vec<usize>> = numbers.iter().filter_map(own).collect();
    if nodes.is_empty() { Err(PlacementError::NoNodes) } else { Ok(nodes) }
}

/// Sorted numbers as a list with ranges, such as `0-3,8`.
fn as_list(sorted: &[usize]) -> String {
    let runs = sorted.chunk_by(|a, b| a + 1 == *b);
    let parts = runs.map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(target_os = "linux")]
mod binding {
    use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

    pub const SUPPORTED: bool = true;

    pub fn current_processor() -> Option<usize> {
        Some(sched_getcpu())
    }

    pub fn bind(processors: &[usize]) {
        let mut set = CpuSet::new();
        processors.iter().filter(|processor| **processor < CpuSet::MAX_CPU).for_each(|processor| set.set(*processor));
        // They were ours when the placement was made; should they be taken away, the thread stays where it is.
        let _ = sched_setaffinity(None, &set);
    }
}

#[cfg(not(target_os = "linux"))]
mod binding {
    pub const SUPPORTED: bool = false;

    pub fn current_processor() -> Option<usize> {
        None
    }

    pub fn bind(_: &[usize]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_as_ranges() {
        for (sorted, expected) in [(&[][..], ""), (&[3], "3"), (&[0, 1, 2, 5, 7, 8], "0-2,5,7-8")] {
            assert_eq!(as_list(sorted), expected);
        }
    }

    #[test]
    fn nodes_hold_the_processors_we_may_use() {
        let root = std::env::temp_dir().join(format!("ascua-nodes-{}", std::process::id()));
        for (node, list) in [("node0", "0-1,4\n"), ("node1", "2-3"), ("node10", "8"), ("other", "9"), ("node2", "\n")] {
            std::fs::create_dir_all(root.join(node)).unwrap();
            std::fs::write(root.join(node).join("cpulist"), list).unwrap();
        }
        assert_eq!(nodes(&root, &[0, 1, 2, 3, 4, 8]), Ok(vec![vec![0, 1, 4], vec![2, 3], vec![8]]));
        assert_eq!(nodes(&root, &[3, 4]), Ok(vec![vec![4], vec![3]]));
        assert_eq!(nodes(&root, &[7]), Err(PlacementError::NoNodes));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(nodes(&root, &[0]), Err(PlacementError::NoNodes));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn workers_run_where_they_are_placed_and_nowhere_else() {
        let allowed = allowed().unwrap();
        let last = *allowed.last().unwrap();
        let pool = crate::pool::ThreadPool::placed(3, Placement::one_each(&[last]).unwrap()).unwrap();
        // On a thread of its own: the caller is bound, too.
        std::thread::spawn(move || {
            pool.run(&|_| {
                for _ in 0..50 {
                    assert_eq!(binding::current_processor(), Some(last));
                    std::thread::yield_now();
                }
            });
        })
        .join()
        .unwrap();
        assert_eq!(Placement::within(&[]), Err(PlacementError::Empty));
        let beyond = allowed.last().unwrap() + 1;
        let error = Placement::within(&[last, beyond]).unwrap_err();
        assert_eq!(error, PlacementError::NotAllowed { processor: beyond, allowed: as_list(&allowed) });
    }
}
