//! Checks of the settings before the start changes the machine.

use crate::failure::{Exit, Failure};
use crate::settings::Settings;

/// Rejects settings with which the platform cannot run.
pub fn check(settings: &Settings, with_tls: bool) -> anyhow::Result<()> {
    settings.launcher.check_runtimes()?;
    settings.events.check().map_err(of_setting)?;
    settings.gateway.asynchronous.check().map_err(of_setting)?;
    settings.triggers.check(settings.events.dedup_s).map_err(of_setting)?;
    settings.volumes.check().map_err(of_setting)?;
    if with_tls {
        gateway::Tls::check(&settings.gateway)?;
    }
    Ok(())
}

/// Failure for an error that names its setting.
pub fn of_setting(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set.")
}
