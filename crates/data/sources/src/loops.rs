//! Detects functions that may cause the events of their own trigger, as far as their settings show.
//! Pure.

use formats::hook::Objects;

/// The warning for a function that may write objects that its trigger matches: a variable that
/// names the bucket, with a path that the filter does not exclude.
pub(crate) fn warning(objects: &Objects, environment: &[(String, String)]) -> Option<String> {
    // Writes cause only creations.
    if !objects.filter.event().starts_with("cos:ObjectCreated:") {
        return None;
    }
    let names_bucket = |(_, value): &&(String, String)| may_write(objects, value);
    let (variable, _) = environment.iter().find(names_bucket)?;
    let bucket = &objects.bucket;
    Some(format!(
        "the variable {variable} of the function names {bucket}, the bucket of the trigger: if the function writes \
         there, it triggers itself; write to another bucket, or choose by filter.Prefix or filter.Suffix what it does \
         not write"
    ))
}

/// Whether a value names the bucket, with a path that the trigger matches. One without a path may
/// mean any, unless the filter shows that its owner has considered loops.
fn may_write(objects: &Objects, value: &str) -> bool {
    let (prefix, suffix) = (objects.filter.prefix(), objects.filter.suffix());
    places(value, &objects.bucket).any(|place| match place.trim_start_matches('/') {
        "" => prefix.is_empty() && suffix.is_empty(),
        place if place.ends_with('/') || suffix.is_empty() => place.starts_with(prefix) || prefix.starts_with(place),
        place => place.starts_with(prefix) && place.ends_with(suffix),
    })
}

/// The text after each occurrence of the bucket's name in a value: `s3://films/out/` has `/out/`.
fn places<'a>(value: &'a str, bucket: &'a str) -> impl Iterator<Item = &'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.match_indices(bucket).filter_map(move |(at, _)| {
        let (before, after) = (&value[..at], &value[at + bucket.len()..]);
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        let place = after.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'' | '?')).next();
        // `http://films/` is a host of that name; `https://films.example.com` is not the bucket.
        place.filter(|place| whole && (place.is_empty() || place.starts_with('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_names_the_bucket_is_a_warning_unless_the_filter_leaves_its_place_out() {
        let objects = |event: &str, prefix: &str, suffix: &str| {
            let filter = format!(r#"{{"Prefix":"{prefix}","Suffix":"{suffix}"}}"#);
            let text = format!(r#"{{"event":"{event}","filter":{filter},"Secrets":["0123456789abcdef"]}}"#);
            Objects::parse(&text, "films").unwrap()
        };
        let created = |prefix, suffix| objects("cos:ObjectCreated:*", prefix, suffix);
        for (objects, value, warned) in [
            (created("", ""), "films", true),
            (created("", ""), "s3://films/out/", true),
            (created("", ""), "https://s3.example.com/films", true),
            (created("", ""), "a,films,b", true),
            (created("", ""), "films-out", false),
            (created("", ""), "old-films", false),
            (created("", ""), "films.example.com", false),
            (created("", ""), "", false),
            (created("in/", ""), "films", false),
            (created("in/", ""), "films/out/", false),
            (created("in/", ""), "films/in/done/", true),
            (created("in/", ".mp4"), "films/in/", true),
            (created("", ".mp4"), "films", false),
            (created("", ".mp4"), "s3://films/out.webm", false),
            (created("", ".mp4"), "s3://films/out.mp4", true),
            (objects("cos:ObjectRemove:*", "", ""), "films", false),
        ] {
            let environment = [("MODE".to_owned(), "x".to_owned()), ("OUT".to_owned(), value.to_owned())];
            let text = warning(&objects, &environment);
            assert_eq!(text.is_some(), warned, "{value:?} {objects:?}");
            assert!(text.is_none_or(|text| text.contains("variable OUT") && text.contains("names films")), "{value}");
        }
    }
}
