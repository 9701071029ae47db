//! Follows the first redirect of a request to a registry or mirror; further ones are followed by
//! the client for destinations.

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::client::{Clients, Target, is_downgrade};
use crate::destination::RefusedDestination;
use crate::endpoint::Endpoint;

/// How redirects are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// The request is sent to the destination.
    Follow,
    /// The response is returned to the caller.
    Return,
}

/// Reason for a missing response.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Http(reqwest::Error),
    Destination(RefusedDestination),
    /// A redirect that is not followed.
    Redirect(&'static str),
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl From<RefusedDestination> for NoAnswer {
    fn from(refused: RefusedDestination) -> Self {
        Self::Destination(refused)
    }
}

/// The destination of a redirect.
pub(crate) fn target(answer: &Response) -> Result<Option<Url>, NoAnswer> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.headers().get(LOCATION) else { return Ok(None) };
    let url = location.to_str().ok().and_then(|location| answer.url().join(location).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(Some).ok_or(NoAnswer::Redirect("it redirects to no valid address"))
}

/// Sends the request to the destination of a redirect.
pub(crate) async fn follow(
    clients: &Clients,
    endpoint: &Endpoint,
    answer: &Response,
    to: Url,
    build: &impl Fn(&Client) -> RequestBuilder,
) -> Result<Response, NoAnswer> {
    if clients.redirects_max() == 0 {
        return Err(NoAnswer::Redirect("it redirects, which redirects_max of [image] forbids"));
    }
    if is_downgrade(answer.url(), &to) {
        return Err(NoAnswer::Redirect("it redirects from https to http"));
    }
    let origin = clients.destinations().origin(answer.url(), answer.remote_addr());
    clients.destinations().check(origin.as_ref(), &to)?;
    let client = clients.client(endpoint, Target::Redirected { by: origin })?;
    let mut request = build(&client).build()?;
    if !same_place(answer.url(), &to) {
        request.headers_mut().remove(AUTHORIZATION);
    }
    *request.url_mut() = to;
    Ok(client.execute(request).await?)
}

/// Whether two URLs have the same host and port.
pub(crate) fn same_place(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str() && one.port_or_known_default() == other.port_or_known_default()
}
