//! Administration requests to the control address, signed like API requests.

use anyhow::Context;
use types::admin::registries::{ACTION, Answer, Command, PATH, Refused, Reply};
use types::admin::{dead_letters, images, secrets, volumes};

use super::Client;
use crate::address::is_loopback;
use crate::failure::{Exit, Failure};

impl Client {
    /// Sends a command; an error becomes a [`Failure`].
    pub async fn administer(&self, command: &Command) -> anyhow::Result<Reply> {
        let body = serde_json::to_vec(command)?;
        let mut request = self.http.post(format!("{}{PATH}", self.endpoint));
        for (name, value) in self.signed(ACTION, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer: Answer =
            answer.json().await.with_context(|| format!("{} has no administration of registries", self.endpoint))?;
        match answer {
            Answer::Done(reply) => Ok(reply),
            Answer::Refused(refused) => Err(failure(refused).into()),
        }
    }

    /// Sends a command about images; an error becomes a [`Failure`].
    pub async fn administer_images(&self, command: &images::Command) -> anyhow::Result<images::Answer> {
        let body = serde_json::to_vec(command)?;
        let mut request = self.http.post(format!("{}{}", self.endpoint, images::PATH));
        for (name, value) in self.signed(images::ACTION, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = answer.json().await;
        match answer.with_context(|| format!("{} has no administration of images", self.endpoint))? {
            images::Answer::Refused { status, message } => Err(failure(Refused { status, message }).into()),
            answer => Ok(answer),
        }
    }

    /// Sends a command about dead letters; an error becomes a [`Failure`].
    pub async fn administer_dead_letters(
        &self,
        command: &dead_letters::Command,
    ) -> anyhow::Result<dead_letters::Answer> {
        let body = serde_json::to_vec(command)?;
        let mut request = self.http.post(format!("{}{}", self.endpoint, dead_letters::PATH));
        for (name, value) in self.signed(dead_letters::ACTION, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = answer.json().await;
        match answer.with_context(|| format!("{} has no administration of dead letters", self.endpoint))? {
            dead_letters::Answer::Refused { status, message } => Err(failure(Refused { status, message }).into()),
            answer => Ok(answer),
        }
    }

    /// Sends a command about volumes; an error becomes a [`Failure`].
    pub async fn administer_volumes(&self, command: &volumes::Command) -> anyhow::Result<volumes::Answer> {
        let body = serde_json::to_vec(command)?;
        let mut request = self.http.post(format!("{}{}", self.endpoint, volumes::PATH));
        for (name, value) in self.signed(volumes::ACTION, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = answer.json().await;
        match answer.with_context(|| format!("{} has no administration of volumes", self.endpoint))? {
            volumes::Answer::Refused { status, message } => Err(failure(Refused { status, message }).into()),
            answer => Ok(answer),
        }
    }

    /// Sends a command about secrets; an error becomes a [`Failure`].
    pub async fn administer_secrets(&self, command: &secrets::Command) -> anyhow::Result<secrets::Answer> {
        let body = serde_json::to_vec(command)?;
        let mut request = self.http.post(format!("{}{}", self.endpoint, secrets::PATH));
        for (name, value) in self.signed(secrets::ACTION, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = answer.json().await;
        match answer.with_context(|| format!("{} has no administration of secrets", self.endpoint))? {
            secrets::Answer::Refused { status, message } => Err(failure(Refused { status, message }).into()),
            answer => Ok(answer),
        }
    }

    /// Checks that requests are encrypted or stay on this machine, as secrets require.
    pub fn may_carry_secrets(&self) -> anyhow::Result<()> {
        if self.endpoint.starts_with("https://") || is_loopback(self.registry()) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Usage,
            format!("the secret would be sent unencrypted over the network to {}", self.endpoint),
            "Run the command on the machine of `sampan up`, or through an SSH tunnel to its control address.",
        )
        .into())
    }
}

fn failure(refused: Refused) -> Failure {
    let Refused { status, message } = refused;
    let (exit, hint) = match status {
        400 => (Exit::Usage, ""),
        401 => (
            Exit::Connection,
            "Use the key pair of this Sampan: the file that `sampan up` printed, with --credentials.",
        ),
        404 => (Exit::NotFound, ""),
        _ => (Exit::Failed, ""),
    };
    Failure::new(exit, message, hint)
}
