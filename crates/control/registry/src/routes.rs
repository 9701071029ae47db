//! The router of the registry.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::auth::{Actions, Scope};
use crate::body::Incoming;
use crate::names::{self, PathError, Target};
use crate::problem::{Code, Problem};
use crate::{RegistryState, auth, blobs, manifests, referrers, tags, uploads};

/// Identifies the Docker registry protocol to clients.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

pub(crate) fn router(shared: Arc<RegistryState>) -> Router {
    Router::new()
        .route("/v2", any(version))
        .route("/v2/", any(version))
        .route("/v2/token", any(auth::token))
        .route("/v2/{*path}", any(dispatch))
        .layer(axum::middleware::map_response(mark))
        .with_state(shared)
}

async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

/// `GET /v2/`: version check and login check.
async fn version(State(shared): State<Arc<RegistryState>>, request: Request) -> Result<Response, Problem> {
    let (parts, _body) = request.into_parts();
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Problem::method_not_allowed(&parts.method, "GET, HEAD"));
    }
    shared.auth.authenticate(&parts)?;
    let mut response = Response::new(Body::from("{}"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Dispatches paths below `/v2/`, parsed by `names`.
async fn dispatch(State(shared): State<Arc<RegistryState>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let target = names::parse(parts.uri.path()).map_err(path_problem)?;
    if !allowed(&target).split(", ").any(|method| method == parts.method.as_str()) {
        return Err(Problem::method_not_allowed(&parts.method, allowed(&target)));
    }
    let grant = shared.auth.authorize(&parts, &needed(&target, &parts.method))?;
    let body = Incoming::new(body, &shared.config);
    match (target, parts.method.as_str()) {
        (Target::Catalog, _) => tags::catalog(&shared, &parts).await,
        (Target::Tags(repository), _) => tags::list(&shared, &parts, &repository).await,
        (Target::Referrers(repository, digest), _) => referrers::list(&shared, &parts, &repository, &digest).await,
        (Target::Blob(repository, digest), "DELETE") => blobs::delete(&shared, &repository, &digest).await,
        (Target::Blob(repository, digest), _) => blobs::read(&shared, &parts, &repository, &digest).await,
        (Target::Manifest(repository, at), "PUT") => manifests::put(&shared, &parts, body, &repository, at).await,
        (Target::Manifest(repository, at), "DELETE") => manifests::delete(&shared, &repository, at).await,
        (Target::Manifest(repository, at), _) => manifests::read(&shared, &parts, &repository, at).await,
        (Target::Uploads(repository), _) => uploads::begin(&shared, &parts, body, &repository, &grant).await,
        (Target::Upload(repository, id), "PATCH") => uploads::append(&shared, &parts, body, &repository, &id).await,
        (Target::Upload(repository, id), "PUT") => uploads::finish(&shared, &parts, body, &repository, &id).await,
        (Target::Upload(repository, id), "DELETE") => uploads::cancel(&shared, &repository, &id),
        (Target::Upload(repository, id), _) => uploads::status(&shared, &repository, &id),
    }
}

/// Methods of a target, as `Allow` lists them.
fn allowed(target: &Target) -> &'static str {
    match target {
        Target::Catalog | Target::Tags(_) | Target::Referrers(..) => "GET",
        Target::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Target::Blob(..) => "GET, HEAD, DELETE",
        Target::Uploads(_) => "POST",
        Target::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}

/// The scope that a request needs.
fn needed(target: &Target, method: &Method) -> Scope {
    let actions = match (target, method.as_str()) {
        // Pushing includes querying and cancelling uploads.
        (Target::Uploads(_) | Target::Upload(..), _) | (_, "PUT") => Actions::PUSH,
        (_, "DELETE") => Actions::DELETE,
        _ => Actions::PULL,
    };
    match target {
        Target::Catalog => Scope::catalog(),
        Target::Tags(repository)
        | Target::Manifest(repository, _)
        | Target::Blob(repository, _)
        | Target::Uploads(repository)
        | Target::Upload(repository, _)
        | Target::Referrers(repository, _) => Scope::repository(repository.as_str(), actions),
    }
}

fn path_problem(error: PathError) -> Problem {
    match error {
        PathError::NoSuchPath => {
            Problem::new(Code::Unsupported, "this is not a path of the distribution specification")
                .with_status(StatusCode::NOT_FOUND)
        }
        PathError::Repository(name) => Problem::new(
            Code::NameInvalid,
            format!(
                "{name:?} is no repository name; use lower-case letters, digits and single separators '.', '_', '-' \
                 between '/', 255 bytes at most"
            ),
        ),
        PathError::Digest(text) => Problem::digest_invalid(&text),
    }
}
