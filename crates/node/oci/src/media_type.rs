//! Media types of manifests, configs and layers, in the OCI and the Docker family.

/// An OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An OCI layer: an uncompressed tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// An OCI layer: a tar compressed with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// An OCI layer: a tar compressed with zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// `Accept` of a request for a manifest, in order of preference; without schema 1.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

pub(crate) const CONFIGS: [&str; 2] = [OCI_CONFIG, DOCKER_CONFIG];
pub(crate) const LAYERS: [&str; 6] = [
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// Prefixes of media types of non-distributable layers; the rest names the compression.
const FOREIGN_LAYERS: [&str; 2] =
    ["application/vnd.docker.image.rootfs.foreign.diff.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"];

/// Whether it is an index: one image for several platforms.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether it is a manifest: one image for one platform.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether it is an image's config.
pub fn is_config(media_type: &str) -> bool {
    CONFIGS.contains(&media_type)
}

/// Whether it says nothing about what it is of.
pub(crate) fn is_unspecific(media_type: &str) -> bool {
    matches!(media_type, "" | "application/octet-stream")
}

/// Whether it is a layer of Docker's schema 2 that can be unpacked.
pub(crate) fn is_docker_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.") && is_layer(media_type)
}

/// Whether it is a layer that can be unpacked.
pub fn is_layer(media_type: &str) -> bool {
    LAYERS.contains(&media_type)
}

/// Whether it is a non-distributable ("foreign") layer, which a registry need not have.
pub fn is_foreign_layer(media_type: &str) -> bool {
    FOREIGN_LAYERS.iter().any(|foreign| media_type.starts_with(foreign))
}

/// Whether it is an encrypted layer.
pub fn is_encrypted_layer(media_type: &str) -> bool {
    media_type.ends_with("+encrypted")
}
