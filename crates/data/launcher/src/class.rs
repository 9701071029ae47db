//! The runtime that isolates a function's instances: the installation's, or the one that the
//! function selects by its tag, among those that the operator allows.

use sandbox::{OWN_RUNTIME, Runtime, RuntimeNotFound};

use crate::config::Config;
use crate::failure::Failure;

/// The tag by which a function selects a runtime. Tags belong to a function and are set when it is
/// created; the API has no field of its own for this.
pub const RUNTIME_TAG: &str = types::tags::RUNTIME;

/// An invalid `[launcher] runtime`.
#[derive(Debug, thiserror::Error)]
#[error("[launcher] {setting} names a runtime that cannot be used")]
pub struct UnusableRuntime {
    setting: &'static str,
    #[source]
    source: RuntimeNotFound,
}

impl Config {
    /// Refuses names of runtimes that are not installed on this machine.
    pub fn check_runtimes(&self) -> Result<(), UnusableRuntime> {
        let found = |setting, name: &str| match name {
            OWN_RUNTIME => Ok(()),
            name => Runtime::find(name).map(drop).map_err(|source| UnusableRuntime { setting, source }),
        };
        found("runtime", &self.runtime)?;
        self.runtimes_allowed.iter().try_for_each(|name| found("runtimes_allowed", name))
    }

    /// The runtime of a function with these tags, allowed or not.
    pub fn runtime_of<'a>(&'a self, tags: &'a [(String, String)]) -> &'a str {
        tags.iter().find(|(key, _)| key == RUNTIME_TAG).map_or(&self.runtime, |(_, value)| value)
    }
}

/// The runtime of a start; `None` is Sampan's own launcher.
pub(crate) fn runtime(config: &Config, tags: &[(String, String)]) -> Result<Option<Runtime>, Failure> {
    let name = config.runtime_of(tags);
    if name != config.runtime && !config.runtimes_allowed.iter().any(|allowed| allowed == name) {
        let allowed = [&config.runtime].into_iter().chain(&config.runtimes_allowed).map(String::as_str);
        return Err(unusable(&format!(
            "the tag {RUNTIME_TAG} asks for the runtime {name:?}, which is not allowed here; make the function with one of {}, \
             or add it to [launcher] runtimes_allowed",
            allowed.collect::<Vec<_>>().join(", ")
        )));
    }
    match name {
        OWN_RUNTIME => Ok(None),
        name => Runtime::find(name).map(Some).map_err(|error| unusable(&error.to_string())),
    }
}

/// The allowed and installed runtimes are not shown to callers.
fn unusable(why: &str) -> Failure {
    Failure::init("the function's runtime cannot be used").with_detail(format!(": {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: &str) -> Vec<(String, String)> {
        vec![("owner".to_owned(), "me".to_owned()), (RUNTIME_TAG.to_owned(), name.to_owned())]
    }

    #[test]
    fn a_function_has_the_installations_runtime_unless_it_asks_for_one_that_is_allowed() {
        let config = Config { runtimes_allowed: vec!["sh".to_owned()], ..Config::default() };
        assert_eq!(runtime(&config, &[]).expect("ours"), None);
        assert_eq!(runtime(&config, &tags("sampan")).expect("ours"), None);
        let found = runtime(&config, &tags("sh")).expect("allowed").expect("another");
        assert_eq!(found.name(), "sh");
        let refused = runtime(&config, &tags("runc")).expect_err("not allowed").detail;
        assert!(refused.contains("\"runc\"") && refused.contains("one of sampan, sh"), "{refused}");
        let other = Config { runtime: "sh".to_owned(), ..Config::default() };
        assert!(
            runtime(&other, &tags("sampan")).is_err(),
            "less isolation than the operator's choice is not for everyone"
        );
    }

    #[test]
    fn what_is_not_on_the_machine_is_told_at_the_start() {
        assert!(Config::default().check_runtimes().is_ok());
        let config = Config { runtimes_allowed: vec!["sampan".to_owned(), "nothing".to_owned()], ..Config::default() };
        let error = config.check_runtimes().expect_err("not there");
        assert!(error.to_string().contains("runtimes_allowed"), "{error}");
        let tagged = Config { runtimes_allowed: vec!["nothing".to_owned()], ..Config::default() };
        assert!(runtime(&tagged, &tags("nothing")).expect_err("gone").detail.contains("install it"));
    }
}
