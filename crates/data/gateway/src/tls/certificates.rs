//! Certificates from files: read, checked against their keys, reloaded when the files change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::config::CertificateFiles;

/// An unusable certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or has no such item in it.
    #[error("certificate {name}: {file} has no {what} in PEM form that can be read", file = file.display())]
    File {
        /// Its name in the configuration.
        name: String,
        /// The kind of item.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The chain's first certificate does not match the key, or one of the two is of an unsupported
    /// kind.
    #[error("certificate {name}: key and certificate do not belong together, or are of an unknown kind")]
    Mismatch {
        /// Its name in the configuration.
        name: String,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
    /// The default certificate does not exist.
    #[error("[gateway] default_certificate names {name}, which is not among [gateway.certificates]")]
    NoDefault {
        /// The name.
        name: String,
    },
}

/// A certificate with its key.
pub(super) struct Certificate {
    pub key: Arc<CertifiedKey>,
    /// When its files were last modified, as far as the system reports it.
    changed: [Option<SystemTime>; 2],
}

/// All certificates by their names.
pub(super) type Certificates = BTreeMap<String, Certificate>;

/// Reads them all.
pub(super) fn read_all(files: &BTreeMap<String, CertificateFiles>) -> Result<Certificates, CertificateError> {
    files.iter().map(|(name, files)| Ok((name.clone(), read(name, files)?))).collect()
}

/// Whether any of their files were modified since they were read.
pub(super) fn are_outdated(certificates: &Certificates, files: &BTreeMap<String, CertificateFiles>) -> bool {
    files.iter().any(|(name, files)| certificates.get(name).is_none_or(|known| known.changed != changed(files)))
}

fn read(name: &str, files: &CertificateFiles) -> Result<Certificate, CertificateError> {
    // The times first: a file that changes while it is read is read again.
    let changed = changed(files);
    let unreadable = |what, file: &Path| {
        let (name, file) = (name.to_owned(), file.to_owned());
        move |source| CertificateError::File { name, what, file, source }
    };
    let in_chain = || unreadable("certificate", &files.chain_file);
    let chain = CertificateDer::pem_file_iter(&files.chain_file).map_err(in_chain())?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(in_chain())?;
    if chain.is_empty() {
        return Err(in_chain()(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key_file).map_err(unreadable("private key", &files.key_file))?;
    let mismatch = |source| CertificateError::Mismatch { name: name.to_owned(), source };
    let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(mismatch)?);
    certified.keys_match().map_err(mismatch)?;
    Ok(Certificate { key: Arc::new(certified), changed })
}

fn changed(files: &CertificateFiles) -> [Option<SystemTime>; 2] {
    [&files.chain_file, &files.key_file].map(|file| file.metadata().and_then(|metadata| metadata.modified()).ok())
}

/// The one that was issued for a host name, also by a wildcard of one label.
pub(super) fn issued_for<'c>(certificates: &'c Certificates, host: &str) -> Option<&'c Certificate> {
    let host = ServerName::try_from(host).ok()?;
    certificates.values().find(|certificate| {
        let end = certificate.key.cert.first().and_then(|end| EndEntityCert::try_from(end).ok());
        end.is_some_and(|end| end.verify_is_valid_for_subject_name(&host).is_ok())
    })
}
