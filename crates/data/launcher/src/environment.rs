//! The environment variables of an instance. Pure.

use types::{CatalogVersion, Installation};

/// Docker's default when an image sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variable with a job image's event (contract 4.2).
const EVENT: &str = "SCF_CUSTOM_CONTAINER_EVENT";

/// Defaults, then the image's variables, then the platform's (contract 4.1, and `PORT`, which most
/// frameworks read), then the user's; later values override earlier ones. Reserved names are
/// refused when a function is created, so users cannot override them. The sandbox adds missing
/// `HOME` and `HOSTNAME`, because it reads the image's passwd file. `event` is that of a job
/// image's instance, with the variables of its run (`types::job`); it has no port.
pub(crate) fn environment(
    image: &[String],
    version: &CatalogVersion,
    platform: &Installation,
    event: Option<&[u8]>,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    set(&mut variables, "PATH", DEFAULT_PATH);
    for variable in image {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(&mut variables, name, value);
    }
    set(&mut variables, "TENCENTCLOUD_RUNENV", "SCF");
    set(&mut variables, "USER_CODE_ROOT", "/var/user/");
    set(&mut variables, "USER", "qcloud");
    if event.is_none() {
        set(&mut variables, "PORT", &version.spec.image.port.to_string());
    }
    set(&mut variables, "SCF_FUNCTIONNAME", version.function.key.name.as_str());
    set(&mut variables, "SCF_FUNCTIONVERSION", &version.key.version.to_string());
    set(&mut variables, "TENCENTCLOUD_REGION", &platform.region);
    set(&mut variables, "TENCENTCLOUD_APPID", &platform.app_id);
    set(&mut variables, "TENCENTCLOUD_UIN", &platform.uin);
    for (name, value) in &version.spec.environment {
        set(&mut variables, name, value);
    }
    if let Some(event) = event {
        let (event, of_run) = types::job::read_input(event);
        set(&mut variables, EVENT, &String::from_utf8_lossy(event));
        of_run.into_iter().for_each(|(name, value)| set(&mut variables, name, value));
    }
    variables
}

fn set(variables: &mut Vec<(String, String)>, name: &str, value: &str) {
    if name.is_empty() {
        return;
    }
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, held)) => value.clone_into(held),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{platform, version};

    fn variables(image: &[&str], own: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut version = version();
        version.spec.environment = own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let image: Vec<_> = image.iter().map(|v| (*v).to_owned()).collect();
        environment(&image, &version, &platform(), None)
    }

    fn value(variables: &[(String, String)], name: &str) -> Option<String> {
        let found: Vec<_> = variables.iter().filter(|(n, _)| n == name).collect();
        assert!(found.len() <= 1, "{name} is set twice");
        found.first().map(|(_, value)| value.clone())
    }

    #[test]
    fn the_contract_is_there() {
        let all = variables(&[], &[]);
        for (name, expected) in [
            ("TENCENTCLOUD_RUNENV", "SCF"),
            ("USER_CODE_ROOT", "/var/user/"),
            ("USER", "qcloud"),
            ("PORT", "9000"),
            ("SCF_FUNCTIONNAME", "hello"),
            ("SCF_FUNCTIONVERSION", "$LATEST"),
            ("TENCENTCLOUD_REGION", "ap-guangzhou"),
            ("TENCENTCLOUD_APPID", "1250000000"),
            ("TENCENTCLOUD_UIN", "100000000001"),
            ("PATH", DEFAULT_PATH),
        ] {
            assert_eq!(value(&all, name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn later_values_hold() {
        let image = ["PATH=/opt/bin", "USER=image", "SCF_FUNCTIONNAME=fake", "A=1=2", "BARE", "=odd"];
        let all = variables(&image, &[("A", "user"), ("B", "")]);
        for (name, expected) in [
            ("PATH", Some("/opt/bin")),
            ("USER", Some("qcloud")),
            ("SCF_FUNCTIONNAME", Some("hello")),
            ("A", Some("user")),
            ("B", Some("")),
            ("BARE", Some("")),
            ("HOME", None),
            ("", None),
        ] {
            assert_eq!(value(&all, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn an_instance_of_a_job_image_has_its_event_and_no_port() {
        let input = types::job::input(b"{\"a\": 1}", 2, 5, "3/10".parse().ok());
        let all = environment(&["PORT=80".to_owned()], &version(), &platform(), Some(&input));
        let place = [("SAMPAN_ARRAY_INDEX", "3"), ("SAMPAN_ARRAY_SIZE", "10")];
        for (name, expected) in [("SAMPAN_ATTEMPT", "2"), ("SAMPAN_CHAIN_DEPTH", "5")].into_iter().chain(place) {
            assert_eq!(value(&all, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(value(&all, EVENT).as_deref(), Some("{\"a\": 1}"));
        assert_eq!(value(&all, "PORT").as_deref(), Some("80"), "the image's own is left alone");
        assert_eq!(value(&variables(&[], &[]), EVENT), None);
        let longest = EVENT.len() + "=".len() + types::limits::JOB_EVENT_BYTES_MAX + 1;
        assert_eq!(longest, 32 * 4096, "as long as the kernel takes, with its final NUL");
    }

    #[test]
    fn the_port_is_the_functions_unless_the_user_says_another() {
        assert_eq!(value(&variables(&["PORT=80"], &[]), "PORT").as_deref(), Some("9000"));
        assert_eq!(value(&variables(&["PORT=80"], &[("PORT", "7000")]), "PORT").as_deref(), Some("7000"));
    }
}
