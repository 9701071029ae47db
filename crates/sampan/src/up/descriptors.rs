//! Divides the limit of open files (RLIMIT_NOFILE) among the platform's parts.
//!
//! Client connections are limited so that instance starts have enough descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{Exit, Failure};
use crate::settings::Settings;

/// The requested limit: the kernel's default of `fs.nr_open`.
const ASKED: u64 = 1 << 20;
/// Descriptors not counted below: database, log, runtime, listeners.
const OWN: u64 = 128;
/// Descriptors that a launcher thread reserves for its children (`sys::ReservedFds`).
const LAUNCHER: u64 = 49;
/// Descriptors of a prepared sandbox: namespaces, mounts, cgroups.
const READY: u64 = 20;
/// Descriptors of a client connection: its socket, and a connection to an instance or a file.
const CONNECTION: u64 = 2;
/// Least number of descriptors shared by connections and instances.
const SHARED_MIN: u64 = 512;

/// How an operator raises the hard limit.
const RAISE: &str = "LimitNOFILE= of the service, --ulimit nofile= of a container, or `ulimit -Hn` of a shell";

/// Raises the limit as far as permitted, and returns it. An instance takes about ten descriptors,
/// and the usual limit of shells and service managers is 1,024.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let Some(hard) = limit.maximum else { return u64::MAX };
    let most = Rlimit { current: Some(hard.max(ASKED)), maximum: Some(hard.max(ASKED)) };
    // Without CAP_SYS_RESOURCE, or beyond fs.nr_open, raise it to the hard limit.
    let raised = setrlimit(Resource::Nofile, most)
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) }));
    if let Err(error) = raised {
        tracing::warn!(%error, ?limit, "cannot raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Configured numbers of threads, prepared sandboxes and connections.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    launcher_threads: usize,
    slots_ready: usize,
    control_connections: usize,
    gateway_connections: usize,
}

/// Most connections of each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    control_connections: usize,
    gateway_connections: usize,
}

/// Divides what the platform does not need itself: a quarter for connections to the control
/// address, half for those to the gateway, the rest for instances. `Err` is the least sufficient
/// limit.
fn share(limit: u64, wanted: Wanted) -> Result<Shares, u64> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let own = OWN
        .saturating_add(count(wanted.launcher_threads.max(1)).saturating_mul(LAUNCHER))
        .saturating_add(count(wanted.slots_ready).saturating_mul(READY));
    let least = own.saturating_add(SHARED_MIN);
    if limit < least {
        return Err(least);
    }
    let most =
        |part: u64, wanted: usize| wanted.min(usize::try_from((limit - own) / part / CONNECTION).unwrap_or(wanted));
    Ok(Shares {
        control_connections: most(4, wanted.control_connections),
        gateway_connections: most(2, wanted.gateway_connections),
    })
}

/// Reduces the settings to fit a limit of open files, and logs each reduction.
///
/// # Errors
/// When the limit is too low for the platform, or for `files_max` of an instance.
pub fn fit(settings: &mut Settings, limit: u64) -> anyhow::Result<()> {
    let wanted = Wanted {
        launcher_threads: settings.sandbox.launcher_threads,
        slots_ready: settings.sandbox.slots_ready,
        control_connections: settings.control.connections_max,
        gateway_connections: settings.gateway.connections_max,
    };
    let remedy = format!("Raise the hard limit with {RAISE}.");
    let shares = share(limit, wanted).map_err(|least| {
        let message = format!("the limit of open files is {limit}, and sampan needs {least} at least");
        Failure::new(Exit::Failed, message, remedy.as_str())
    })?;
    let files_max = settings.launcher.files_max;
    if files_max > limit {
        let message = format!(
            "[launcher] files_max allows {files_max} open files per instance, but the limit of open files is {limit}"
        );
        return Err(Failure::new(Exit::Usage, message, format!("{remedy} Or lower files_max.")).into());
    }
    let Shares { control_connections, gateway_connections } = shares;
    for (key, wanted, given) in [
        ("control.connections_max", wanted.control_connections, control_connections),
        ("gateway.connections_max", wanted.gateway_connections, gateway_connections),
    ] {
        if given < wanted {
            tracing::warn!(
                key,
                wanted,
                given,
                limit,
                "the limit of open files allows fewer connections; raise the hard limit with {RAISE}"
            );
        }
    }
    settings.control.connections_max = control_connections;
    settings.gateway.connections_max = gateway_connections;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    const WANTED: Wanted =
        Wanted { launcher_threads: 2, slots_ready: 8, control_connections: 1_024, gateway_connections: 10_000 };

    #[test]
    fn each_part_gets_its_share_of_descriptors() {
        let of = |limit| share(limit, WANTED).map(|shares| (shares.control_connections, shares.gateway_connections));
        assert_eq!(of(256), Err(898));
        assert_eq!(of(897), Err(898));
        assert_eq!(of(1_024), Ok((79, 159)));
        assert_eq!(of(4_096), Ok((463, 927)));
        assert_eq!(of(65_536), Ok((1_024, 10_000)));
        assert_eq!(of(u64::MAX), Ok((1_024, 10_000)));
        for limit in [898, 1_024, 4_096, 20_000, 65_536] {
            let Shares { control_connections, gateway_connections } = share(limit, WANTED).expect("enough");
            let taken = 386 + CONNECTION * (control_connections + gateway_connections) as u64;
            assert!(limit - taken >= 128, "ten starts have room beside full addresses at {limit}");
        }
    }

    #[test]
    fn fewer_connections_are_logged_with_the_remedy() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || fit(&mut Settings::default(), 4_096).expect("enough"));
        let text = String::from_utf8(std::mem::take(&mut *log.0.lock().expect("held by none"))).expect("text");
        let line = "the limit of open files allows fewer connections; raise the hard limit with LimitNOFILE=";
        assert_eq!(text.matches(line).count(), 2, "{text}");
        assert!(text.contains("key=\"control.connections_max\" wanted=1024 given=463 limit=4096"), "{text}");
    }

    /// The lines of a subscriber.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("held by none").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_insufficient_limit_is_refused_with_the_setting() {
        let mut settings = Settings::default();
        settings.launcher.files_max = 5_000;
        let refused = fit(&mut settings, 4_096).expect_err("too many").to_string();
        assert!(refused.contains("[launcher] files_max") && refused.contains("4096"), "{refused}");
        let refused = fit(&mut settings, 300).expect_err("too few").to_string();
        assert!(refused.contains("limit of open files is 300"), "{refused}");
        settings.launcher.files_max = 1_024;
        fit(&mut settings, 4_096).expect("enough");
        assert_eq!((settings.control.connections_max, settings.gateway.connections_max), (463, 927));
    }
}
