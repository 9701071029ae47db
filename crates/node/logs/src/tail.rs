//! The end of a request's log in memory. Pure.

/// Keeps about the last `keep_bytes` of the lines pushed.
#[derive(Debug)]
pub(crate) struct Tail {
    text: String,
    keep_bytes: usize,
}

impl Tail {
    pub(crate) fn new(keep_bytes: usize) -> Self {
        Self { text: String::new(), keep_bytes }
    }

    /// Appends one line. Old text is removed in one move each time twice the kept size is reached,
    /// so that the average cost of a push does not depend on the log's length.
    pub(crate) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() > 2 * self.keep_bytes {
            let from = cut(&self.text, self.keep_bytes);
            self.text.drain(..from);
        }
    }

    /// The last `bytes` bytes, cut at the beginning of a line if possible.
    pub(crate) fn last(&self, bytes: usize) -> &str {
        &self.text[cut(&self.text, bytes.min(self.keep_bytes))..]
    }
}

/// The start of the last `bytes` bytes of `text`: the first line that begins within them, or a
/// character within the last line when that alone is longer.
fn cut(text: &str, bytes: usize) -> usize {
    if text.len() <= bytes {
        return 0;
    }
    let from = text.len() - bytes;
    let line = match text.as_bytes()[from - 1..].iter().position(|b| *b == b'\n') {
        Some(newline) => from + newline,
        None => text.len(),
    };
    if line < text.len() { line } else { text.ceil_char_boundary(from) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(keep: usize, lines: &[&str]) -> Tail {
        let mut tail = Tail::new(keep);
        lines.iter().for_each(|line| tail.push(line));
        tail
    }

    #[test]
    fn the_tail_begins_at_a_line() {
        let t = tail(100, &["first", "second", "third"]);
        assert_eq!(t.last(100), "first\nsecond\nthird\n");
        assert_eq!(t.last(13), "second\nthird\n");
        assert_eq!(t.last(12), "third\n");
        assert_eq!(t.last(6), "third\n");
        assert_eq!(t.last(0), "");
    }

    #[test]
    fn a_line_longer_than_the_tail_is_cut_at_a_character() {
        assert_eq!(tail(100, &["äöü"]).last(4), "ü\n");
    }

    proptest! {
        #[test]
        fn the_tail_is_the_end_of_everything_pushed(lines in prop::collection::vec(".{0,20}", 0..50), bytes in 0usize..80) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let all: String = lines.iter().flat_map(|l| [l, "\n"]).collect();
            let t = tail(40, &lines);
            prop_assert!(all.ends_with(t.last(bytes)));
            prop_assert!(t.last(bytes).len() <= bytes.min(40));
            prop_assert!(t.text.len() <= 80);
        }
    }
}
