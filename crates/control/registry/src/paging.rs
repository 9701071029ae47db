//! Pagination of lists: `?n=`, `?last=` and the `Link` to the next page (distribution
//! specification, "Listing Tags"). Pure.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue, LINK};
use http::request::Parts;

use crate::body::query;
use crate::problem::{Code, Problem};

/// The requested page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    len: usize,
    last: Option<String>,
}

impl Page {
    /// Parses the query; at most `len_max` entries.
    pub(crate) fn of(parts: &Parts, len_max: usize) -> Result<Self, Problem> {
        let len = match query(parts, "n") {
            None => len_max,
            Some(text) => text.parse::<usize>().map(|n| n.min(len_max)).map_err(|_| {
                Problem::new(Code::PaginationNumberInvalid, format!("n={text:?} is not a number; use 0 to {len_max}"))
            })?,
        };
        Ok(Self { len, last: query(parts, "last") })
    }

    /// Takes the page from a list sorted by `key`, and returns the name after which another page
    /// follows, if any.
    pub(crate) fn cut<T, K: Ord>(
        &self,
        mut sorted: Vec<T>,
        name: impl Fn(&T) -> &str,
        key: impl Fn(&str) -> K,
    ) -> (Vec<T>, Option<String>) {
        if let Some(last) = &self.last {
            let last = key(last);
            let skipped = sorted.partition_point(|item| key(name(item)) <= last);
            sorted.drain(..skipped);
        }
        let more = sorted.len() > self.len;
        sorted.truncate(self.len);
        // An empty page has no successor.
        let next = sorted.last().filter(|_| more).map(|item| name(item).to_owned());
        (sorted, next)
    }

    /// A JSON response with the `Link` to the page after `next`; `filter` is a query that the link
    /// repeats.
    pub(crate) fn answer(
        &self,
        path: &str,
        filter: Option<(&str, &str)>,
        next: Option<&str>,
        body: &serde_json::Value,
        media_type: &'static str,
    ) -> Response {
        let mut response = Response::new(Body::from(body.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(next) = next {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("n", &self.len.to_string()).append_pair("last", next).extend_pairs(filter);
            let link = format!("<{path}?{}>; rel=\"next\"", query.finish());
            let link = HeaderValue::try_from(link).expect("names and encoded queries are plain ASCII");
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Result<Page, Problem> {
        let request = http::Request::get(format!("/v2/a/tags/list?{query}")).body(()).unwrap();
        Page::of(&request.into_parts().0, 100)
    }

    fn cut(query: &str, names: &[&'static str]) -> (Vec<&'static str>, Option<String>) {
        page(query).unwrap().cut(names.to_vec(), |name| name, str::to_owned)
    }

    #[test]
    fn a_page_has_the_requested_length_and_names_its_successor() {
        let names = ["a", "b", "c", "d"];
        assert_eq!(cut("", &names), (names.to_vec(), None));
        assert_eq!(cut("n=2", &names), (vec!["a", "b"], Some("b".into())));
        assert_eq!(cut("n=2&last=b", &names), (vec!["c", "d"], None));
        assert_eq!(cut("last=bb", &names), (vec!["c", "d"], None));
        assert_eq!(cut("last=z", &names), (vec![], None));
        assert_eq!(cut("n=0", &names), (vec![], None));
        assert!(page("n=-1").is_err() && page("n=x").is_err());
        assert_eq!(page("n=1000").unwrap().len, 100);
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(names in prop::collection::btree_set("[a-z]{1,3}", 0..30), len in 1usize..5) {
            let names: Vec<String> = names.into_iter().collect();
            let (mut seen, mut last) = (Vec::new(), None);
            loop {
                let (page, next) = Page { len, last }.cut(names.clone(), |name| name, str::to_owned);
                seen.extend(page);
                if next.is_none() {
                    break;
                }
                last = next;
            }
            prop_assert_eq!(seen, names);
        }
    }
}
