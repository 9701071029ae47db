//! Selects the manifest of an image for this platform. Entries of an index may lack a platform
//! (image-index.md); their configs decide then, in the index's order.

use content_store::INDEX_DEPTH_MAX;
use oci::{Document, ImageConfig, Index, Manifest, Platform};
use types::Digest;

use super::preparation::Preparation;
use crate::Error;

/// Documents read for one image: each costs up to two requests to the registry.
const DOCUMENTS_MAX: usize = 64;

/// Why documents of an index were passed over.
#[derive(Default)]
struct PassedOver {
    platforms: Vec<String>,
    too_large: Option<Error>,
    no_image: Option<Error>,
}

impl Preparation {
    /// The manifest for this platform and its config, from the store or the registry.
    pub(super) async fn select(&self, root: &Digest) -> Result<(Manifest, ImageConfig), Error> {
        let bytes_max = self.context.config.manifest_bytes_max;
        let (mut waiting, mut passed_over) = (vec![(root.clone(), 0)], PassedOver::default());
        let mut documents = 0;
        while let Some((digest, depth)) = waiting.pop() {
            if depth > INDEX_DEPTH_MAX {
                return Err(self.invalid(format!("indexes are nested more than {INDEX_DEPTH_MAX} deep")));
            }
            documents += 1;
            if documents > DOCUMENTS_MAX {
                let reason = format!(
                    "none of the first {DOCUMENTS_MAX} documents of its index fits; give its entries platforms"
                );
                return Err(self.invalid(reason));
            }
            let bytes = match self.context.content.read_verified(&digest, bytes_max).await? {
                Some(bytes) => bytes,
                None => self.fetch_document(digest.as_str()).await?.1,
            };
            let refused = match self.parsed(&bytes)? {
                Document::Index(index) => match candidates(&index) {
                    Ok(entries) => {
                        waiting.extend(entries.into_iter().rev().map(|entry| (entry, depth + 1)));
                        continue;
                    }
                    Err(source) => self.manifest_error(source),
                },
                Document::Manifest(manifest) => match self.config_of(&manifest).await {
                    Ok(config) => return Ok((manifest, config)),
                    Err(error) => error,
                },
            };
            passed_over.add(refused)?;
        }
        Err(passed_over.into_error(|source| self.manifest_error(source)))
    }

    /// The config of a manifest that can run here; nothing is transferred beyond a limit.
    async fn config_of(&self, manifest: &Manifest) -> Result<ImageConfig, Error> {
        manifest.check().map_err(|source| self.manifest_error(source))?;
        self.check_size(manifest)?;
        self.config(manifest).await
    }

    fn invalid(&self, reason: String) -> Error {
        self.manifest_error(oci::Error::Invalid { document: "manifest", reason })
    }
}

/// The entry with the best platform, or all without one.
fn candidates(index: &Index) -> Result<Vec<Digest>, oci::Error> {
    let best = index.choose()?;
    if best.platform.as_ref().is_some_and(|platform| !Platform::is_empty(platform)) {
        return Ok(vec![best.digest.clone()]);
    }
    let mut entries: Vec<Digest> = Vec::new();
    for entry in index.fitting(oci::processor_level()) {
        if !entries.contains(&entry.digest) {
            entries.push(entry.digest.clone());
        }
        if entries.len() > DOCUMENTS_MAX {
            break;
        }
    }
    Ok(entries)
}

impl PassedOver {
    /// Takes an error of one document that leaves the others usable.
    fn add(&mut self, error: Error) -> Result<(), Error> {
        match error {
            Error::Manifest { source: oci::Error::Platform { has }, .. } => self.platforms.extend(has),
            Error::TooLarge { .. } => drop(self.too_large.get_or_insert(error)),
            Error::Manifest { source: oci::Error::NotAnImage { .. }, .. } => drop(self.no_image.get_or_insert(error)),
            other => return Err(other),
        }
        Ok(())
    }

    /// The error if no document fits: a limit that the operator can raise, then the platforms.
    fn into_error(self, of_manifest: impl Fn(oci::Error) -> Error) -> Error {
        let Self { mut platforms, too_large, no_image } = self;
        platforms.sort();
        platforms.dedup();
        let mismatch = (!platforms.is_empty()).then(|| of_manifest(oci::Error::Platform { has: platforms }));
        let first = too_large.or(mismatch).or(no_image);
        first.unwrap_or_else(|| of_manifest(oci::Error::Platform { has: vec!["no platform at all".into()] }))
    }
}
