//! Administration of dead letters by signed requests: list, show, redrive, purge.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use events::{DeadLetters, Error, Events};
use types::RequestId;
use types::admin::dead_letters::{ACTION, Answer, Command, DeadLetter, PAGE_MAX, PATH, Selection, Shown};

use super::administration::Administer;
use super::signed::{Refused, Signed};

/// State of the endpoint.
pub struct Administration {
    pub events: Events,
    pub signed: Signed,
}

impl Administer for Administration {
    const PATH: &'static str = PATH;
    type Answer = Answer;

    fn refusal(status: u16, message: String) -> Answer {
        Answer::Refused { status, message }
    }

    async fn answer(&self, parts: &Parts, body: Body) -> Result<Answer, Refused> {
        match self.signed.command(parts, body, ACTION).await? {
            Command::List { namespace, function, after, limit } => {
                if !(1..=PAGE_MAX).contains(&limit) {
                    return Err((StatusCode::BAD_REQUEST, format!("limit must be 1 to {PAGE_MAX}")));
                }
                let page = self.events.dead_letters(DeadLetters { namespace, function }, after, limit).await;
                Ok(Answer::DeadLetters(page.map_err(refused)?.into_iter().map(shown).collect()))
            }
            Command::Get { id } => self.get(&id).await.map(|shown| Answer::DeadLetter(Box::new(shown))),
            Command::Redrive { of: Selection::One(id) } => {
                self.events.redrive(&id).await.map_err(|error| of_one(error, &id))?;
                Ok(Answer::Redriven(1))
            }
            Command::Redrive { of: Selection::All { namespace, function } } => {
                let redriven = self.events.redrive_all(DeadLetters { namespace, function }).await;
                redriven.map(Answer::Redriven).map_err(refused)
            }
            Command::Purge { of: Selection::One(id) } => {
                self.events.purge_one(&id).await.map_err(|error| of_one(error, &id))?;
                Ok(Answer::Purged(1))
            }
            Command::Purge { of: Selection::All { namespace, function } } => {
                let purged = self.events.purge(DeadLetters { namespace, function }).await;
                purged.map(Answer::Purged).map_err(refused)
            }
        }
    }
}

impl Administration {
    async fn get(&self, id: &RequestId) -> Result<Shown, Refused> {
        let (rows, payload) = self.events.dead_letter(id).await.map_err(refused)?;
        let mut rows: Vec<DeadLetter> = rows.into_iter().map(shown).collect();
        let Some(dead_letter) = rows.pop() else { return Err(of_one(Error::NotFound(id.clone()), id)) };
        let (payload, payload_base64) = match payload.map(|bytes| String::from_utf8(bytes.into())) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(bytes)) => (None, Some(BASE64_STANDARD.encode(bytes.as_bytes()))),
        };
        Ok(Shown { dead_letter, history: rows, payload, payload_base64 })
    }
}

fn shown(letter: events::DeadLetter) -> DeadLetter {
    DeadLetter {
        row: letter.row,
        id: letter.request_id,
        namespace: letter.address.function.namespace,
        function: letter.address.function.name,
        qualifier: letter.address.qualifier.to_string(),
        invoke_type: letter.invoke_type.as_str().to_owned(),
        reason: letter.reason,
        status_code: letter.status.map(types::RunStatus::code),
        attempts: letter.attempts,
        accepted_ms: letter.accepted_ms,
        died_ms: letter.died_ms,
        redriven_ms: letter.redriven_ms,
        result: letter.result,
        payload_bytes: letter.payload_bytes,
        destination: letter.destination,
    }
}

fn of_one(error: Error, id: &RequestId) -> Refused {
    match error {
        Error::NotFound(_) => (StatusCode::NOT_FOUND, format!("event {id} is not a dead letter")),
        error => refused(error),
    }
}

fn refused(error: Error) -> Refused {
    let status = match error {
        Error::Full { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::FunctionGone { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}
