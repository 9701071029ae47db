//! Errors of calls: the client's part, and the part that only the platform log gets.
//!
//! Maps errors of the components below to API error codes.

use types::{ApiError, ErrorCode, error_chain};

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An error that the client or the operator can correct.
    #[error(transparent)]
    Client(#[from] ApiError),
    /// An internal error; its causes go to the platform log.
    #[error("an operation below the API failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Error codes of one action for refusals of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreCodes {
    /// The function's state forbids it.
    pub wrong_status: ErrorCode,
    /// The function's name is in use.
    pub function_exists: ErrorCode,
    /// The function has no such version.
    pub version_not_found: ErrorCode,
}

impl Default for StoreCodes {
    fn default() -> Self {
        Self {
            wrong_status: ErrorCode::FAILED_FUNCTION_STATUS,
            function_exists: ErrorCode::RESOURCE_IN_USE_FUNCTION,
            version_not_found: ErrorCode::RESOURCE_NOT_FOUND_FUNCTION_VERSION,
        }
    }
}

impl StoreCodes {
    /// The client's view of an error of the store.
    pub(crate) fn failure(self, error: store::Error) -> Failure {
        use store::{Error, SecretError};
        let code = match &error {
            Error::NamespaceNotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND_NAMESPACE,
            Error::NamespaceExists { .. } | Error::NamespaceNotEmpty { .. } => ErrorCode::RESOURCE_IN_USE_NAMESPACE,
            Error::DefaultNamespace { .. } => ErrorCode::FAILED_DELETE_NAMESPACE,
            Error::TooManyNamespaces { .. } => ErrorCode::LIMIT_NAMESPACE,
            Error::FunctionNotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND_FUNCTION,
            Error::FunctionExists { .. } => self.function_exists,
            Error::TooManyFunctions { .. } => ErrorCode::LIMIT_FUNCTION,
            Error::WrongStatus { .. } | Error::NotPublishable { .. } => self.wrong_status,
            Error::VersionNotFound { .. } => self.version_not_found,
            Error::VersionNumberTaken { .. } => ErrorCode::INVALID_VALUE,
            Error::RevisionChanged { .. } => ErrorCode::FAILED_PUBLISH_VERSION,
            Error::TooManyVersions { .. } => ErrorCode::LIMIT_FUNCTION_VERSIONS,
            Error::VersionInUse { .. } => ErrorCode::UNSUPPORTED_ALIAS_BIND,
            Error::VersionProvisioned { .. } => ErrorCode::FAILED_PROVISIONED_IN_PROGRESS,
            Error::AliasNotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND_ALIAS,
            Error::AliasExists { .. } => ErrorCode::RESOURCE_IN_USE_ALIAS,
            Error::DefaultAlias { .. } => ErrorCode::INVALID_VALUE_ALIAS,
            Error::TooManyAliases { .. } => ErrorCode::LIMIT_ALIAS,
            Error::VersionNotActive { .. } => ErrorCode::FAILED_VERSION_NOT_ACTIVE,
            Error::QualifierNotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND_QUALIFIER,
            Error::TriggerNotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND_TRIGGER,
            Error::TriggerExists { .. } => ErrorCode::RESOURCE_IN_USE_TRIGGER_NAME,
            Error::TooManyTriggers { .. } => ErrorCode::LIMIT_TRIGGER,
            Error::NamespaceHasSecrets { .. } => ErrorCode::RESOURCE_IN_USE_NAMESPACE,
            Error::SpecTooLarge { .. } => ErrorCode::INVALID_VALUE,
            Error::Quota(refused) => of_quota(refused),
            Error::Domain(refused) => of_domain(refused),
            Error::Secret(
                SecretError::NotFound { .. } | SecretError::VersionNotFound { .. } | SecretError::NotText { .. },
            ) => ErrorCode::INVALID_VALUE,
            Error::Busy { .. } => ErrorCode::REQUEST_LIMIT_EXCEEDED,
            Error::Stopping => ErrorCode::SERVICE_UNAVAILABLE,
            Error::DiskFull { .. } => ErrorCode::RESOURCE_INSUFFICIENT,
            _ => return Failure::Internal(Box::new(error)),
        };
        ApiError::new(code, error.to_string()).into()
    }
}

fn of_quota(refused: &store::QuotaError) -> ErrorCode {
    use store::QuotaError;
    match refused {
        QuotaError::ProvisionedTooMuch { reserved: true, .. } => ErrorCode::FAILED_PROVISIONED_EXCEED_RESERVED,
        QuotaError::ProvisionedTooMuch { .. } => ErrorCode::FAILED_PROVISIONED_EXCEED_AVAILABLE,
        QuotaError::ReservedTooMuch { .. } => ErrorCode::LIMIT_FUNCTION_RESERVED_MEMORY,
        QuotaError::TooLarge { .. } => ErrorCode::LIMIT_USER_TOTAL_MEMORY,
        QuotaError::TooSmall { .. } => ErrorCode::FAILED_RESERVED_EXCEED_TOTAL,
    }
}

fn of_domain(refused: &store::DomainError) -> ErrorCode {
    use store::DomainError;
    match refused {
        DomainError::NotFound { .. } => ErrorCode::FAILED_DOMAIN_UNEXIST,
        DomainError::Exists { .. } => ErrorCode::RESOURCE_IN_USE,
        DomainError::TooMany { .. } => ErrorCode::LIMIT_EXCEEDED,
        DomainError::TooLarge { .. } => ErrorCode::INVALID_VALUE,
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        StoreCodes::default().failure(error)
    }
}

impl From<logs::Error> for Failure {
    fn from(error: logs::Error) -> Self {
        let code = match &error {
            logs::Error::Stopped => ErrorCode::SERVICE_UNAVAILABLE,
            _ => return Self::Internal(Box::new(error)),
        };
        ApiError::new(code, error.to_string()).into()
    }
}

impl From<events::Error> for Failure {
    fn from(error: events::Error) -> Self {
        use events::Error;
        let code = match &error {
            Error::Full { .. } => ErrorCode::REQUEST_LIMIT_EXCEEDED,
            Error::DiskNearlyFull { .. } | Error::DiskFull | Error::Halted(_) | Error::Damaged(_) => {
                ErrorCode::RESOURCE_INSUFFICIENT
            }
            Error::NotFound(_) | Error::OfAnotherFunction { .. } => ErrorCode::RESOURCE_NOT_FOUND_ASYNC_EVENT,
            Error::Ended(_) => ErrorCode::FAILED_ASYNC_EVENT_STATUS,
            Error::Stopping => ErrorCode::SERVICE_UNAVAILABLE,
            _ => return Self::Internal(Box::new(error)),
        };
        ApiError::new(code, error.to_string()).into()
    }
}

impl From<types::catalog::Lookup> for Failure {
    fn from(lookup: types::catalog::Lookup) -> Self {
        use types::catalog::Lookup;
        let code = match &lookup {
            Lookup::NoFunction(_) => ErrorCode::RESOURCE_NOT_FOUND_FUNCTION,
            Lookup::NoQualifier(..) => ErrorCode::RESOURCE_NOT_FOUND_QUALIFIER,
            Lookup::NotCallable(..) => ErrorCode::FAILED_FUNCTION_STATUS,
        };
        ApiError::new(code, lookup.to_string()).into()
    }
}

impl Failure {
    /// Converts to the client's error, and logs the causes once, with the id of the call.
    pub(crate) fn into_client_error(self, action: &str, request_id: &types::RequestId) -> ApiError {
        match self {
            Self::Client(error) => error,
            Self::Internal(source) => {
                let causes = error_chain(source.as_ref());
                tracing::error!(action, %request_id, error = causes, "a call of the API failed");
                let message = format!("{action} failed inside the platform; its log has the cause under {request_id}");
                ApiError::new(ErrorCode::INTERNAL_ERROR, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(failure: Failure) -> &'static str {
        failure.into_client_error("GetFunction", &types::RequestId::random()).code.name
    }

    #[test]
    fn what_a_client_can_mend_has_its_own_code() {
        let namespace: types::Namespace = "ns".parse().expect("valid");
        let key = types::FunctionKey { namespace: namespace.clone(), name: "hello".parse().expect("valid") };
        let status = types::Status::Creating;
        let codes = StoreCodes {
            wrong_status: ErrorCode::FAILED_UPDATE_FUNCTION_CODE,
            function_exists: ErrorCode::RESOURCE_IN_USE_FUNCTION_NAME,
            ..StoreCodes::default()
        };
        let table = [
            (store::Error::NamespaceNotFound { namespace: namespace.clone() }, "ResourceNotFound.Namespace"),
            (store::Error::NamespaceNotEmpty { namespace, functions: 1 }, "ResourceInUse.Namespace"),
            (store::Error::FunctionNotFound { key: key.clone() }, "ResourceNotFound.Function"),
            (store::Error::FunctionExists { key: key.clone(), status }, "ResourceInUse.FunctionName"),
            (store::Error::WrongStatus { key, status }, "FailedOperation.UpdateFunctionCode"),
            (store::Error::Stopping, "ServiceUnavailable"),
        ];
        for (error, code) in table {
            assert_eq!(code_of(codes.failure(error)), code);
        }
    }

    #[test]
    fn an_internal_error_shows_the_client_its_id_alone() {
        let source = std::io::Error::other("secret/path");
        let id = types::RequestId::random();
        let error = Failure::Internal(Box::new(source)).into_client_error("ListFunctions", &id);
        assert_eq!(error.code, ErrorCode::INTERNAL_ERROR);
        assert!(error.message.contains(id.as_str()) && !error.message.contains("secret/path"));
    }
}
