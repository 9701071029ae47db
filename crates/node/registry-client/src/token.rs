//! Makes the authorization header for a challenge and a credential, with a token of the registry's
//! token server if it has one.

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use crate::Error;
use crate::auth::{self, Challenge};
use crate::client::Target;
use crate::credentials::{Credential, Grant};
use crate::destination::Origin;
use crate::redirect::Redirects;
use crate::transport::Transport;

/// Actions of a token for pulls.
pub(crate) const PULL: &str = "pull";

/// The header for a challenge; `None` if the credential does not fit its scheme. A token is for
/// `actions` in `repository`; for a pull, the challenge may name another scope. `origin` is the
/// address of the challenge's sender.
pub(crate) async fn authorization(
    transport: &Transport,
    challenge: &Challenge,
    grant: &Grant,
    (repository, actions): (&str, &str),
    origin: Option<Origin>,
) -> Result<Option<HeaderValue>, Error> {
    match (challenge, &grant.credential) {
        (Challenge::Basic, credential) => Ok(credential.as_ref().and_then(auth::basic)),
        // A fixed bearer token cannot be exchanged.
        (Challenge::Bearer { .. }, Some(Credential::Bearer(token))) => Ok(auth::bearer(token)),
        (Challenge::Bearer { realm, service, scope }, _) => {
            let usual = || (!repository.is_empty()).then(|| format!("repository:{repository}:{actions}"));
            let scope = scope.clone().filter(|_| actions == PULL).or_else(usual);
            let fields = [("scope", scope), ("service", service.clone())];
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            fetch(transport, realm, fields, grant, origin).await.map(Some)
        }
    }
}

async fn fetch(
    transport: &Transport,
    realm: &str,
    mut fields: Vec<(&str, String)>,
    grant: &Grant,
    origin: Option<Origin>,
) -> Result<HeaderValue, Error> {
    let subject = &transport.subject;
    let url: reqwest::Url = realm.parse().map_err(|_| subject.protocol("its token server has no valid address"))?;
    if !auth::may_tell(&url, subject.plain) {
        return Err(subject.protocol("its token server is not encrypted, so no credentials were sent to it"));
    }
    let response = match &grant.credential {
        Some(Credential::Identity(token)) => {
            fields.push(("grant_type", "refresh_token".into()));
            fields.push(("client_id", "sampan".into()));
            fields.push(("refresh_token", token.clone()));
            let form = encoded(&url, &fields).query().unwrap_or_default().to_owned();
            let kind = "application/x-www-form-urlencoded";
            let build = |client: &Client| client.post(url.clone()).header(CONTENT_TYPE, kind).body(form.clone());
            transport.send(Target::Redirected { by: origin }, true, Redirects::Follow, build).await?
        }
        credential => {
            let (basic, url) = (credential.as_ref().and_then(auth::basic), encoded(&url, &fields));
            let build = |client: &Client| {
                let request = client.get(url.clone());
                basic.iter().fold(request, |request, value| request.header(AUTHORIZATION, value))
            };
            transport.send(Target::Redirected { by: origin }, true, Redirects::Follow, build).await?
        }
    };
    if !response.status().is_success() {
        return Err(transport.error_response(response, "token server".into(), grant.shown_provider()).await);
    }
    let header = auth::token(&transport.read_answer(response).await?).and_then(|token| auth::bearer(&token));
    header.ok_or_else(|| subject.protocol("its token server sent no token"))
}

fn encoded(url: &reqwest::Url, fields: &[(&str, String)]) -> reqwest::Url {
    let mut url = url.clone();
    url.query_pairs_mut().extend_pairs(fields);
    url
}
