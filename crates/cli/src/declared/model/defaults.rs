//! Defaults of keys that are left out.

use std::collections::BTreeMap;

use types::limits::{
    EVENT_RETRIES_DEFAULT, EVENT_TTL_S_DEFAULT, IMAGE_PORT, INIT_TIMEOUT_S_DEFAULT, MAX_CONCURRENCY_MAX,
    MEMORY_MB_DEFAULT, TIMEOUT_S_DEFAULT,
};
use types::secret_file;
use types::secret_ref::{self, Part, SecretRef};

use super::{Events, Function, Kind, Session, WhenIdle};

/// Default limits of sessions: sessions per instance, lifetime and idle time in seconds.
const PER_INSTANCE: u64 = 1;
const TTL_S: u64 = 21_600;
const IDLE_S: u64 = 1800;

impl Function {
    /// Makes every default explicit, so that equivalent functions are equal. Keys whose default
    /// depends on the installation stay absent.
    pub fn filled(self) -> Self {
        let (kind, job) = (self.kind(), self.is_job());
        let web = kind == Kind::Web;
        let concurrency = if self.session.is_some() { MAX_CONCURRENCY_MAX } else { 1 };
        let text = |text: Option<String>| Some(text.unwrap_or_default());
        let flag = |flag: Option<bool>, default| Some(flag.unwrap_or(default));
        Self {
            kind: Some(kind),
            registry_id: text(self.registry_id),
            command: self.command.filter(|words| !words.0.is_empty()),
            args: self.args.filter(|words| !words.0.is_empty()),
            port: (!job).then_some(self.port.unwrap_or(IMAGE_PORT)),
            job: Some(job),
            memory: Some(self.memory.unwrap_or(MEMORY_MB_DEFAULT)),
            timeout: Some(self.timeout.unwrap_or(TIMEOUT_S_DEFAULT)),
            init_timeout: Some(self.init_timeout.unwrap_or(INIT_TIMEOUT_S_DEFAULT)),
            cpu: self.cpu.filter(|cores| cores.0 != 0),
            shm: self.shm.filter(|mb| *mb != 0),
            tmp: self.tmp.filter(|mb| *mb != 0),
            nofile: self.nofile.filter(|files| *files != 0),
            pids: self.pids.filter(|pids| *pids != 0),
            mounts: self.mounts.filter(|mounts| !mounts.is_empty()),
            egress: self.egress.and_then(|entries| entries.egress().unwrap_or(Some(entries))),
            host_ports: self.host_ports.map(sorted).filter(|ports| !ports.is_empty()),
            environment: Some(with_secrets(self.environment.unwrap_or_default(), self.secrets)),
            secrets: None,
            secret_files: self.secret_files.map(below_dir).filter(|map| !map.is_empty()),
            concurrency: web.then_some(self.concurrency.unwrap_or(concurrency)),
            session: self.session.map(Session::filled),
            websocket: flag(self.websocket, false),
            public_network: flag(self.public_network, true),
            description: text(self.description),
            on_success: text(self.on_success),
            on_failure: text(self.on_failure),
            async_run: flag(self.async_run, false),
            rerun: flag(self.rerun, false),
            init: flag(self.init, false),
            start_check: flag(self.start_check, true),
            tags: Some(self.tags.unwrap_or_default()),
            events: Some(self.events.unwrap_or_default().filled()),
            ..self
        }
    }

    /// Removes values that equal their default.
    pub fn trimmed(self) -> Self {
        let full = self.clone().filled();
        let bare = Self { image: full.image.clone(), kind: full.kind, job: full.job, ..Self::default() };
        let bare = Self { session: full.session.clone(), ..bare }.filled();
        let (environment, secrets) = without_secrets(full.environment.unwrap_or_default());
        let kind_default = if full.job == Some(true) { Kind::Event } else { Kind::Web };
        Self {
            image: full.image,
            kind: full.kind.filter(|kind| *kind != kind_default),
            registry_id: unless(full.registry_id, &bare.registry_id),
            command: full.command,
            args: full.args,
            port: unless(full.port, &bare.port),
            job: full.job.filter(|job| *job),
            memory: unless(full.memory, &bare.memory),
            timeout: unless(full.timeout, &bare.timeout),
            init_timeout: unless(full.init_timeout, &bare.init_timeout),
            cpu: full.cpu,
            shm: full.shm,
            tmp: full.tmp,
            nofile: full.nofile,
            pids: full.pids,
            mounts: full.mounts,
            egress: full.egress,
            host_ports: full.host_ports,
            env_file: full.env_file,
            environment: Some(environment).filter(|map| !map.is_empty()),
            secrets: Some(secrets).filter(|map| !map.is_empty()),
            secret_files: full.secret_files,
            concurrency: unless(full.concurrency, &bare.concurrency),
            session: full.session.map(Session::trimmed),
            websocket: unless(full.websocket, &bare.websocket),
            websocket_idle: full.websocket_idle,
            public_network: unless(full.public_network, &bare.public_network),
            description: unless(full.description, &bare.description),
            on_success: unless(full.on_success, &bare.on_success),
            on_failure: unless(full.on_failure, &bare.on_failure),
            async_run: unless(full.async_run, &bare.async_run),
            rerun: unless(full.rerun, &bare.rerun),
            runtime: full.runtime,
            stop_grace: full.stop_grace,
            init: unless(full.init, &bare.init),
            start_check: unless(full.start_check, &bare.start_check),
            tags: full.tags.filter(|map: &BTreeMap<_, _>| !map.is_empty()),
            events: full.events.map(Events::trimmed).filter(|events| *events != Events::default()),
            reserved: full.reserved,
            publish: full.publish.filter(|publish| *publish),
            provisioned: full.provisioned,
            versions: full.versions.filter(|map| !map.is_empty()),
            aliases: full.aliases.filter(|map| !map.is_empty()),
            triggers: full.triggers.filter(|map| !map.is_empty()),
        }
    }

    /// Removes versions, aliases, triggers and provisioned concurrency, which have API actions of
    /// their own.
    pub fn alone(self) -> Self {
        Self { publish: None, provisioned: None, versions: None, aliases: None, triggers: None, ..self }
    }

    /// Keeps only the settings that a published version has.
    pub fn into_version(self) -> Self {
        Self {
            kind: None,
            websocket: None,
            async_run: None,
            rerun: None,
            runtime: None,
            stop_grace: None,
            init: None,
            start_check: None,
            tags: None,
            events: None,
            reserved: None,
            ..self.alone()
        }
    }

    /// Converts a version to a function; settings that versions do not have are taken from
    /// `function`.
    pub fn within(self, function: &Self) -> Self {
        let function = function.clone().alone();
        Self {
            kind: function.kind,
            websocket: function.websocket,
            async_run: function.async_run,
            rerun: function.rerun,
            runtime: function.runtime,
            stop_grace: function.stop_grace,
            init: function.init,
            start_check: function.start_check,
            tags: function.tags,
            events: function.events,
            reserved: function.reserved,
            ..self.alone()
        }
    }
}

impl Session {
    fn filled(self) -> Self {
        Self {
            per_instance: Some(self.per_instance.unwrap_or(PER_INSTANCE)),
            ttl: Some(self.ttl.unwrap_or(TTL_S)),
            idle: Some(self.idle.unwrap_or(IDLE_S)),
            when_idle: Some(self.when_idle.unwrap_or(WhenIdle::End)),
            ..self
        }
    }

    fn trimmed(self) -> Self {
        Self {
            per_instance: unless(self.per_instance, &Some(PER_INSTANCE)),
            ttl: unless(self.ttl, &Some(TTL_S)),
            idle: unless(self.idle, &Some(IDLE_S)),
            when_idle: unless(self.when_idle, &Some(WhenIdle::End)),
            ..self
        }
    }
}

impl Events {
    /// Makes every default explicit.
    pub fn filled(self) -> Self {
        Self {
            retries: Some(self.retries.unwrap_or(EVENT_RETRIES_DEFAULT)),
            ttl: Some(self.ttl.unwrap_or(EVENT_TTL_S_DEFAULT)),
        }
    }

    fn trimmed(self) -> Self {
        Self {
            retries: unless(self.retries, &Some(EVENT_RETRIES_DEFAULT)),
            ttl: unless(self.ttl, &Some(EVENT_TTL_S_DEFAULT)),
        }
    }
}

/// Adds variables with secrets, in the form in which versions refer to them.
fn with_secrets(
    mut variables: BTreeMap<String, String>,
    secrets: Option<BTreeMap<String, SecretRef>>,
) -> BTreeMap<String, String> {
    variables.extend(secrets.into_iter().flatten().map(|(key, secret)| (key, secret.in_variable())));
    variables
}

/// Splits variables into plain ones and those that consist of one secret.
fn without_secrets(variables: BTreeMap<String, String>) -> (BTreeMap<String, String>, BTreeMap<String, SecretRef>) {
    let (mut plain, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in variables {
        match secret_ref::parts(&value).as_deref() {
            Ok([Part::Secret(secret)]) => {
                secrets.insert(key, secret.clone());
            }
            _ => {
                plain.insert(key, value);
            }
        }
    }
    (plain, secrets)
}

/// Strips the directory of secrets from paths that begin with it.
fn below_dir(files: BTreeMap<String, SecretRef>) -> BTreeMap<String, SecretRef> {
    let below = |path: String| {
        let rest = path.strip_prefix(secret_file::DIR).and_then(|rest| rest.strip_prefix('/'));
        rest.map(str::to_owned).unwrap_or(path)
    };
    files.into_iter().map(|(path, secret)| (below(path), secret)).collect()
}

fn sorted(mut ports: Vec<u16>) -> Vec<u16> {
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Returns the value unless it is the default.
fn unless<T: PartialEq>(value: Option<T>, default: &Option<T>) -> Option<T> {
    if value == *default { None } else { value }
}

#[cfg(test)]
mod tests {
    use super::super::{SessionSource, Words};
    use super::*;

    #[test]
    fn what_is_trimmed_means_the_same() {
        let image = "a:v1".to_owned();
        let session = Session {
            source: SessionSource::Header,
            name: "x-key".to_owned(),
            per_instance: None,
            ttl: Some(60),
            idle: None,
            when_idle: None,
        };
        let bare = Function { image, ..Function::default() };
        let functions = [
            bare.clone(),
            Function { job: Some(true), kind: Some(Kind::Event), ..bare.clone() },
            Function { kind: Some(Kind::Event), memory: Some(128), description: Some(String::new()), ..bare.clone() },
            Function { session: Some(session), concurrency: Some(1), ..bare.clone() },
            Function {
                concurrency: Some(1),
                command: Some(Words(Vec::new())),
                start_check: Some(false),
                ..bare.clone()
            },
            Function {
                environment: Some(BTreeMap::from([("A".to_owned(), "x{{secret:a}}".to_owned())])),
                secrets: Some(BTreeMap::from([("B".to_owned(), "b@3".parse().expect("a reference"))])),
                secret_files: Some(BTreeMap::from([("tls/key".to_owned(), "web-key".parse().expect("a reference"))])),
                ..bare.clone()
            },
            Function { events: Some(Events { retries: Some(2), ttl: Some(60) }), reserved: Some(0), ..bare.clone() },
        ];
        for function in functions {
            let filled = function.filled();
            assert_eq!(filled.clone().trimmed().filled(), filled);
            assert_eq!(filled.clone().trimmed().trimmed(), filled.trimmed());
        }
        assert_eq!(bare.clone().filled().trimmed(), bare);
    }
}
