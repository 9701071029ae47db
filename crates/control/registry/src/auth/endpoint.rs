//! The token endpoint `/v2/token`: GET with basic authentication (token specification of docker's
//! registry) and POST with a password (its OAuth2 form, used by docker and containerd).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};

use super::scope::{Actions, Kind, Scope};
use super::tokens::{Minted, SERVICE};
use super::{Auth, Grant, Refusal, not_logged_in};
use crate::RegistryState;
use crate::body::Incoming;
use crate::config::Config;
use crate::problem::{Code, Problem};

/// Handles a request for a token.
pub(crate) async fn token(State(shared): State<Arc<RegistryState>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::GET => by_query(&shared.auth, &shared.config, &parts),
        Method::POST => {
            let form = form(&shared, body).await?;
            by_form(&shared.auth, &shared.config, &form)
        }
        method => Err(Problem::method_not_allowed(&method, "GET, POST")),
    }
}

/// Reads the body of an unauthenticated client: bounded in concurrency and time.
async fn form(shared: &RegistryState, body: Body) -> Result<Bytes, Problem> {
    let config = &shared.config;
    let Ok(_room) = shared.token_requests.try_acquire() else {
        let message = "too many requests for tokens are under way (registry.token_requests_max); try again";
        return Err(Problem::new(Code::TooManyRequests, message));
    };
    let body = Incoming::new(body, config);
    let form = body.collect("token request", config.token_request_bytes_max, "token_request_bytes_max");
    let late = |_| {
        let limit_s = config.token_request_wait_s;
        let message = format!("the request did not arrive within {limit_s} seconds (registry.token_request_wait_s)");
        Problem::new(Code::RequestTimeout, message)
    };
    tokio::time::timeout(config.token_request_wait(), form).await.map_err(late)?
}

/// GET: scopes in the query, key pair in `Authorization`. `service`, `account`, `client_id` and
/// `offline_token` are ignored: there is one service, and no refresh tokens.
fn by_query(auth: &Auth, config: &Config, parts: &Parts) -> Result<Response, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let asked = scopes(query.as_bytes(), config)?;
    let challenge = || format!("Basic realm=\"{SERVICE}\"");
    let granted = match auth.grant(parts) {
        Ok(Some(Grant::All)) => within(&Grant::All, asked),
        // Otherwise a token could be renewed without end.
        Ok(Some(_)) => return Err(not_logged_in(challenge())),
        Ok(None) if auth.anonymous_pull => within(&Grant::AnonymousPull, asked),
        Ok(None) => return Err(not_logged_in(challenge())),
        Err(refusal) => return Err(refusal.into_problem(challenge())),
    };
    Ok(answer(auth.tokens.mint(&auth.credentials.secret_id, granted, jiff::Timestamp::now()), None))
}

/// POST: all parameters in the form.
fn by_form(auth: &Auth, config: &Config, form: &[u8]) -> Result<Response, Problem> {
    let field = |name| form_urlencoded::parse(form).find_map(|(key, value)| (key == name).then_some(value));
    let kind = field("grant_type").unwrap_or_default();
    if kind != "password" {
        // No refresh token is ever issued; docker and containerd fall back to the password.
        return Err(Problem::new(Code::Unsupported, format!("grant_type {kind:?} is not supported; use password"))
            .with_status(StatusCode::BAD_REQUEST));
    }
    let (user, password) = (field("username").unwrap_or_default(), field("password").unwrap_or_default());
    if !auth.credentials.matches(&user, &password) {
        return Err(Refusal::WrongPair.into_problem(format!("Basic realm=\"{SERVICE}\"")));
    }
    let granted = within(&Grant::All, scopes(form, config)?);
    let names = granted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    Ok(answer(auth.tokens.mint(&user, granted, jiff::Timestamp::now()), Some(names)))
}

/// All scopes of a query or form: the key may be repeated, with several scopes each.
fn scopes(pairs: &[u8], config: &Config) -> Result<Vec<Scope>, Problem> {
    let mut found = Vec::new();
    for (_, text) in form_urlencoded::parse(pairs).filter(|(key, _)| key == "scope") {
        found.extend(Scope::parse_all(&text));
        if found.len() > config.token_scopes_max {
            return Err(Problem::new(
                Code::Denied,
                format!(
                    "more than {} scopes are requested at once (registry.token_scopes_max)",
                    config.token_scopes_max
                ),
            ));
        }
    }
    Ok(found)
}

/// The requested scopes that the grant covers.
fn within(grant: &Grant, asked: Vec<Scope>) -> Vec<Scope> {
    let narrowed = |scope: Scope| match grant {
        Grant::AnonymousPull if scope.kind == Kind::Repository && scope.actions.pull => {
            Some(Scope { actions: Actions::PULL, ..scope })
        }
        _ => grant.allows(&scope).then_some(scope),
    };
    asked.into_iter().filter_map(narrowed).collect()
}

fn answer(minted: Minted, scope: Option<String>) -> Response {
    let mut body = serde_json::json!({
        "token": minted.token,
        "access_token": minted.token,
        "expires_in": minted.ttl_s,
        "issued_at": minted.issued_at.to_string(),
    });
    if let Some(scope) = scope {
        body["token_type"] = "Bearer".into();
        body["scope"] = scope.into();
    }
    let mut response = axum::Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
