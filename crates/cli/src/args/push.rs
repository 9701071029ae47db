//! Arguments of `sampan push`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `sampan push`.
#[derive(Args)]
pub struct PushArgs {
    /// OCI layout (folder or archive) or docker archive (`docker save`), or - for standard input,
    /// uncompressed or compressed with gzip or zstd; with --from-dir the first argument is the
    /// image name
    #[arg(value_name = "SOURCE or IMAGE", num_args = 1..=2, required = true)]
    pub names: Vec<String>,
    /// Build an image with this folder's content as its only layer
    #[arg(long, value_name = "DIR", requires = "entrypoint")]
    pub from_dir: Option<PathBuf>,
    /// Entry point of an image built with --from-dir, one argument per use
    #[arg(long, value_name = "WORD", requires = "from_dir", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// Environment of an image built with --from-dir
    #[arg(long, value_name = "KEY=VALUE", requires = "from_dir", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// Working directory of an image built with --from-dir
    #[arg(long, value_name = "DIR", requires = "from_dir")]
    pub workdir: Option<String>,
    /// User of an image built with --from-dir
    #[arg(long, value_name = "USER", requires = "from_dir")]
    pub user: Option<String>,
    /// Keep the numeric owners of the folder's files, such as of a root file system made from
    /// packages; by default root owns all files
    #[arg(long, requires = "from_dir")]
    pub keep_owners: bool,
    /// Tag or reference of the image in a source with several
    #[arg(long, value_name = "TAG", conflicts_with = "from_dir")]
    pub select: Option<String>,
    /// User name at a registry other than Sampan's own
    #[arg(long, value_name = "USER", allow_hyphen_values = true, requires = "registry_password_file")]
    pub registry_user: Option<String>,
    /// File with the password of --registry-user
    #[arg(long, value_name = "FILE", requires = "registry_user")]
    pub registry_password_file: Option<PathBuf>,
}
