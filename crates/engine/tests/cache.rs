//! The paged cache keeps its books: every block is free or counted, and a shared block is copied before it is written.

use ascua_engine::{BlockCopy, Cache, EngineError};
use proptest::prelude::*;

const BLOCK: usize = 4;

fn cache(blocks: usize) -> Cache {
    Cache::new(blocks, BLOCK, 16, 3)
}

#[test]
fn blocks_are_taken_as_tokens_come_and_given_back() {
    let mut cache = cache(4);
    let a = cache.create().expect("a slot is free");
    assert_eq!(cache.append(a, &[1, 2, 3]).expect("there is room"), []);
    assert_eq!((cache.blocks(a).expect("it lives").len(), cache.free_blocks()), (1, 3));
    cache.append(a, &[4, 5]).expect("there is room");
    assert_eq!((cache.blocks(a).expect("it lives").len(), cache.free_blocks()), (2, 2));
    cache.truncate(a, 4).expect("it lives");
    assert_eq!((cache.tokens(a).expect("it lives"), cache.free_blocks()), (&[1, 2, 3, 4][..], 3));
    cache.release(a);
    assert_eq!(cache.free_blocks(), 4);
    assert!(matches!(cache.tokens(a), Err(EngineError::UnknownSequence { .. })));
}

#[test]
fn fork_shares_until_one_side_writes() {
    let mut cache = cache(4);
    let a = cache.create().expect("a slot is free");
    cache.append(a, &[1, 2, 3, 4, 5]).expect("there is room");
    let b = cache.fork(a).expect("a slot is free");
    assert_eq!(cache.free_blocks(), 2, "a fork takes nothing");
    let shared = cache.blocks(a).expect("it lives").to_vec();
    let copies = cache.append(b, &[9]).expect("there is room");
    assert_eq!(copies.len(), 1, "the half-full block is copied");
    assert_eq!(copies[0].from, shared[1]);
    assert_eq!(cache.blocks(b).expect("it lives"), [shared[0], copies[0].to]);
    assert_eq!(cache.append(a, &[6]).expect("there is room"), Vec::<BlockCopy>::new(), "now it is its own");
    assert_eq!(cache.tokens(a).expect("it lives"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(cache.tokens(b).expect("it lives"), [1, 2, 3, 4, 5, 9]);
}

#[test]
fn full_context_and_full_cache_change_nothing() {
    let mut cache = cache(3);
    let a = cache.create().expect("a slot is free");
    let b = cache.create().expect("a slot is free");
    cache.append(a, &[0; 8]).expect("there is room");
    let error = cache.append(a, &[0; 9]).expect_err("17 tokens in a context of 16");
    assert_eq!(error.to_string(), "context is full: 8 tokens used, 9 more do not fit into 16");
    let error = cache.append(b, &[0; 8]).expect_err("two blocks of one");
    assert_eq!(error.to_string(), "the key-value cache is full: 2 blocks wanted, 1 of 3 free");
    assert_eq!((cache.tokens(b).expect("it lives").len(), cache.free_blocks()), (0, 1));
    cache.append(b, &[0; 4]).expect("one block is free");
    cache.create().expect("a third slot");
    assert_eq!(cache.create().expect_err("three slots").to_string(), "all 3 sequences are in use");
}

#[derive(Clone, Debug)]
enum Action {
    Create,
    Fork(usize),
    Append(usize, usize),
    Truncate(usize, usize),
    Release(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Create),
        (0..3usize).prop_map(Action::Fork),
        (0..3usize, 1..7usize).prop_map(|(s, n)| Action::Append(s, n)),
        (0..3usize, 0..17usize).prop_map(|(s, n)| Action::Truncate(s, n)),
        (0..3usize).prop_map(Action::Release),
    ]
}

proptest! {
    #[test]
    fn books_balance_whatever_happens(actions in prop::collection::vec(action(), 0..60)) {
        let mut cache = cache(7);
        let mut alive = Vec::new();
        for action in actions {
            let pick = |index: usize| (!alive.is_empty()).then(|| alive[index % alive.len()]);
            match action {
                Action::Create => alive.extend(cache.create().ok()),
                Action::Fork(index) => {
                    if let Some(id) = pick(index) {
                        alive.extend(cache.fork(id).ok());
                    }
                }
                Action::Append(index, count) => {
                    if let Some(id) = pick(index) {
                        let _full = cache.append(id, &vec![1; count]);
                    }
                }
                Action::Truncate(index, length) => {
                    if let Some(id) = pick(index) {
                        cache.truncate(id, length).expect("it lives");
                    }
                }
                Action::Release(index) => {
                    if let Some(id) = pick(index) {
                        cache.release(id);
                        alive.retain(|&other| other != id);
                    }
                }
            }
            let mut used: Vec<u32> = Vec::new();
            for &id in &alive {
                let blocks = cache.blocks(id).expect("it lives");
                prop_assert_eq!(blocks.len(), cache.tokens(id).expect("it lives").len().div_ceil(BLOCK));
                used.extend_from_slice(blocks);
            }
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len() + cache.free_blocks(), 7);
        }
    }
}
