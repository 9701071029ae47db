//! The environment of a program and its lookup on `PATH`. Pure.

use crate::identity::Identity;

/// `PATH` for an environment without one.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the files to try for a program, as `execvp` does: a name with a slash is a path; any
/// other is looked up on PATH.
pub fn programs(argv: &[String], env: &[String]) -> Vec<String> {
    let Some(program) = argv.first() else { return Vec::new() };
    if program.contains('/') {
        return vec![program.clone()];
    }
    let search = env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    search.split(':').map(|dir| if dir.is_empty() { program.clone() } else { format!("{dir}/{program}") }).collect()
}

/// Returns the environment: the given variables and those that every program expects.
pub fn environment(given: &[(String, String)], hostname: &str, identity: &Identity) -> Vec<String> {
    // An empty home counts as none, as in container runtimes.
    let given: Vec<_> = given.iter().filter(|(key, value)| key != "HOME" || !value.is_empty()).collect();
    let mut env: Vec<String> = given.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname), ("HOME", home(identity))] {
        if !given.iter().any(|(key, _)| key == name) {
            env.push(format!("{name}={value}"));
        }
    }
    env
}

/// Home of the user by the image's /etc/passwd (POSIX XBD 8.3). Root has one in images without that
/// file too.
fn home(identity: &Identity) -> &str {
    match identity.home.as_deref() {
        Some(home) if !home.is_empty() => home,
        _ if identity.uid == 0 => "/root",
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_on_the_path_and_a_path_is_not() {
        let argv = |text: &str| vec![text.to_owned()];
        let env = ["PATH=/a:/b".to_owned()];
        assert_eq!(programs(&argv("run"), &env), ["/a/run", "/b/run"]);
        assert_eq!(programs(&argv("./run"), &env), ["./run"]);
        assert!(programs(&argv("run"), &[]).contains(&"/bin/run".to_owned()));
    }

    #[test]
    fn home_is_the_users_unless_the_environment_has_one() {
        let identity = |uid, home: &str| Identity { uid, home: Some(home.to_owned()), ..Identity::default() };
        for (own, identity, want) in [
            (None, identity(1000, "/home/app"), "/home/app"),
            (None, identity(0, "/var/root"), "/var/root"),
            (None, identity(1000, ""), "/"),
            (None, Identity::default(), "/root"),
            (None, Identity { uid: 4242, ..Identity::default() }, "/"),
            (Some("/own"), identity(1000, "/home/app"), "/own"),
            (Some(""), identity(1000, "/home/app"), "/home/app"),
        ] {
            let own: Vec<_> = own.map(|home| ("HOME".to_owned(), home.to_owned())).into_iter().collect();
            let env = environment(&own, "me", &identity);
            let homes: Vec<_> = env.iter().filter_map(|variable| variable.strip_prefix("HOME=")).collect();
            assert_eq!(homes, [want], "{own:?} {identity:?}");
            assert!(env.contains(&"HOSTNAME=me".to_owned()), "{env:?}");
        }
        let own = [("HOSTNAME".to_owned(), "mine".to_owned())];
        assert!(!environment(&own, "me", &Identity::default()).contains(&"HOSTNAME=me".to_owned()));
    }
}
