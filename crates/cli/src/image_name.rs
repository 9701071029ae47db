//! Image names in arguments.

use types::ImageRef;

use crate::failure::{Exit, Failure};

/// Parses an image name; names without a registry host are in the platform's registry.
pub fn resolve(name: &str, own_registry: Option<&str>) -> anyhow::Result<ImageRef> {
    let named_host = name.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let full = match own_registry {
        _ if named_host => name.to_owned(),
        Some(own) => format!("{own}/{name}"),
        None => {
            let message = format!("{name:?} has no registry host, and no credentials of a Sampan registry were found");
            return Err(Failure::new(Exit::Connection, message, "Name the credentials with --credentials.").into());
        }
    };
    full.parse().map_err(|error: types::image_ref::InvalidImageRef| {
        Failure::new(Exit::Usage, error.to_string(), "Write host/repository:tag, such as 127.0.0.1:7070/hello:v1.")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_host_is_in_the_own_registry() {
        let full = |name| resolve(name, Some("127.0.0.1:7070")).expect("valid").to_string();
        assert_eq!(full("hello"), "127.0.0.1:7070/hello:latest");
        assert_eq!(full("team/hello:v1"), "127.0.0.1:7070/team/hello:v1");
        assert_eq!(full("localhost:5000/hello:v1"), "localhost:5000/hello:v1");
        assert!(resolve("hello", None).is_err());
    }
}
