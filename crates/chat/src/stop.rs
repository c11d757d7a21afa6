//! [`StopMatcher`]: cuts a streamed text at the first of several stop strings.
//!
//! Text that may turn out to be the beginning of a stop string is held back until that is decided, so that no part of a
//! stop string is ever shown; at most the length of the longest stop string is held.

/// What became of a piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopStep {
    /// The text that can be shown.
    pub text: String,
    /// The stop string that has been met, as an index into the list; the text ends before it.
    pub stopped: Option<usize>,
}

/// Streams text through, up to a stop string.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    /// A matcher of these strings; empty ones match nothing.
    pub fn new<S: Into<String>>(stops: impl IntoIterator<Item = S>) -> Self {
        Self { stops: stops.into_iter().map(Into::into).collect(), held: String::new() }
    }

    /// Takes the next piece of text. After a stop has been met, the matcher starts anew.
    pub fn push(&mut self, text: &str) -> StopStep {
        self.held.push_str(text);
        let stops = || self.stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty());
        // The earliest match counts, of several at one place the longest.
        let matches = stops().filter_map(|(index, stop)| Some((self.held.find(stop.as_str())?, index, stop.len())));
        if let Some((at, index, _)) = matches.min_by_key(|&(at, _, length)| (at, usize::MAX - length)) {
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return StopStep { text, stopped: Some(index) };
        }
        let keep = stops().map(|(_, stop)| beginning_at_end(&self.held, stop)).max().unwrap_or(0);
        let shown = self.held.len() - keep;
        let rest = self.held.split_off(shown);
        StopStep { text: std::mem::replace(&mut self.held, rest), stopped: None }
    }

    /// The text still held back, when no more will come.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of `text` are a beginning of `stop`, but not all of it.
fn beginning_at_end(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).filter(|&at| at > 0 && at <= text.len());
    lengths.rev().find(|&length| text.as_bytes().ends_with(&stop.as_bytes()[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes pieces; gives all text shown before and after the end, and the stop met.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
        let mut matcher = StopMatcher::new(stops.iter().copied());
        let mut shown = String::new();
        for piece in pieces {
            let step = matcher.push(piece);
            shown.push_str(&step.text);
            if step.stopped.is_some() {
                return (shown, step.stopped);
            }
            assert!(stops.iter().all(|stop| stop.is_empty() || !shown.contains(stop)));
        }
        (shown + &matcher.finish(), None)
    }

    #[test]
    fn text_ends_at_the_first_stop() {
        let cases: &[(&[&str], &str, &str, Option<usize>)] = &[
            (&[], "hello", "hello", None),
            (&[""], "hello", "hello", None),
            (&["lo"], "hello world", "hel", Some(0)),
            (&["xx", "wor"], "hello world", "hello ", Some(1)),
            (&["lo w", "lo"], "hello world", "hel", Some(0)),
            (&["</s>", "\nUser:"], "a </s no\nUser", "a </s no\nUser", None),
            (&["\nUser:"], "hi\n\nUser: you", "hi\n", Some(0)),
            (&["aab"], "aaaab!", "aa", Some(0)),
            (&["é!", "日本"], "caf日 éé!x", "caf日 é", Some(0)),
            (&["hello"], "hello", "", Some(0)),
        ];
        for (stops, text, shown, stopped) in cases {
            // In one piece the longer of two stops at one place is known; in small pieces the shorter is met first.
            let (found, index) = run(stops, &[text]);
            assert_eq!((found.as_str(), index), (*shown, *stopped), "{stops:?} in {text:?}");
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let pieces: Vec<&str> = characters.iter().map(String::as_str).collect();
            let (found, index) = run(stops, &pieces);
            assert_eq!(
                (found.as_str(), index.is_some()),
                (*shown, stopped.is_some()),
                "{stops:?} in {text:?}, by characters"
            );
        }
    }

    #[test]
    fn only_what_may_become_a_stop_is_held() {
        let mut matcher = StopMatcher::new(["<|end|>"]);
        for (piece, shown) in [("a <", "a "), ("|", ""), ("en", ""), ("x", "<|enx"), ("<|end|", ""), ("<", "<|end|")] {
            assert_eq!(matcher.push(piece), StopStep { text: shown.to_owned(), stopped: None }, "{piece}");
        }
        assert_eq!(matcher.finish(), "<");
        assert_eq!(matcher.finish(), "");
    }
}
