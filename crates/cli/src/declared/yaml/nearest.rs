//! Finds the known word nearest to a mistyped one.

/// Hint "Did you mean", or the list of known words.
pub fn hint<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Use one of: {}.", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The nearest known word, if its distance is at most a third of the word's length.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let wanted: Vec<char> = plain(word);
    let with_distance = known.map(|candidate| (distance(&wanted, &plain(candidate)), candidate));
    let (distance, near) = with_distance.min_by_key(|(distance, _)| *distance)?;
    (distance <= wanted.len().max(3) / 3 && distance < wanted.len()).then_some(near)
}

/// Edit distance with insertions, removals, replacements and swaps of neighbours (optimal string
/// alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, other) | (other, 0) => other,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let shortest = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swaps = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swaps { shortest.min(rows[i - 2][j - 2] + 1) } else { shortest }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word() {
        let known = ["memory", "timeout", "init_timeout", "image", "port", "environment"];
        let near = |word| nearest(word, known.iter().copied());
        for (word, wanted) in [
            ("memroy", Some("memory")),
            ("Memory", Some("memory")),
            ("initTimeout", Some("init_timeout")),
            ("enviroment", Some("environment")),
            ("prot", Some("port")),
            ("cpu", None),
            ("certificate", None),
        ] {
            assert_eq!(near(word), wanted, "{word}");
        }
        assert_eq!(hint("x", ["a", "b"].into_iter()), "Use one of: a, b.");
    }
}
