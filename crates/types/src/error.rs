//! The table of API error codes with their properties, and the error type that carries a code to a
//! client.

use std::fmt;

/// A row of the table. Code names are the cloud API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The code as clients see it, such as `ResourceNotFound.Function`.
    pub name: &'static str,
    /// Equivalent HTTP status for places where the API's constant 200 does not apply (gateway,
    /// console, CLI exit).
    pub http_status: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Remedy in terms of the command line, which alone shows it; answers of the API have none.
    /// Empty when the message is sufficient.
    pub hint: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $http:literal, $retry:literal, $hint:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("`", $name, "`")]
            pub const $constant: ErrorCode =
                ErrorCode { name: $name, http_status: $http, retryable: $retry, hint: $hint };)*

            /// All rows, for documentation and tests.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$constant),*];

            /// The row of a code name, if any.
            pub fn by_name(name: &str) -> Option<ErrorCode> {
                Self::ALL.iter().copied().find(|code| code.name == name)
            }
        }
    };
}

codes! {
    AUTH_INVALID_AUTHORIZATION = "AuthFailure.InvalidAuthorization", 401, false, "Sign the request with TC3-HMAC-SHA256 or a v1 signature; the official SDKs do.";
    AUTH_SECRET_ID_NOT_FOUND = "AuthFailure.SecretIdNotFound", 401, false, "Use the key pair in credentials.toml of the data directory.";
    AUTH_SIGNATURE_EXPIRE = "AuthFailure.SignatureExpire", 401, false, "Set the clock of the client; it may differ by five minutes at most.";
    AUTH_SIGNATURE_FAILURE = "AuthFailure.SignatureFailure", 401, false, "Check the secret key, and that nothing between client and server rewrites the request.";
    AUTH_TOKEN_FAILURE = "AuthFailure.TokenFailure", 401, false, "Leave the token out; this installation has no temporary credentials.";
    FAILED_OPERATION = "FailedOperation", 409, false, "";
    FAILED_ASYNC_EVENT_STATUS = "FailedOperation.AsyncEventStatus", 409, false, "";
    FAILED_CREATE_ALIAS = "FailedOperation.CreateAlias", 409, false, "Wait for its deletion, then deploy again.";
    FAILED_CREATE_FUNCTION = "FailedOperation.CreateFunction", 409, false, "";
    FAILED_COPY_FUNCTION = "FailedOperation.CopyFunction", 409, false, "";
    FAILED_COPY_FAILED = "FailedOperation.CopyFailed", 409, false, "";
    FAILED_COPY_ASYNC_RUN = "FailedOperation.CopyAsyncRun", 409, false, "";
    FAILED_DELETE_ALIAS = "FailedOperation.DeleteAlias", 409, false, "";
    FAILED_DELETE_FUNCTION = "FailedOperation.DeleteFunction", 409, false, "";
    FAILED_DELETE_NAMESPACE = "FailedOperation.DeleteNamespace", 409, false, "";
    FAILED_CREATE_NAMESPACE = "FailedOperation.CreateNamespace", 409, false, "";
    FAILED_FUNCTION_STATUS = "FailedOperation.FunctionStatusError", 409, true, "Wait until `sampan get` shows Active, or a failed state with its reason.";
    FAILED_FUNCTION_NAME_STATUS = "FailedOperation.FunctionNameStatusError", 409, true, "Wait until `sampan get` shows Active, or a failed state with its reason.";
    FAILED_INVOKE_FUNCTION = "FailedOperation.InvokeFunction", 409, false, "";
    FAILED_DOMAIN_UNEXIST = "FailedOperation.Domain.UnExist", 404, false, "`sampan domain list` shows what there is.";
    FAILED_PROVISIONED_IN_PROGRESS = "FailedOperation.ProvisionedInProgress", 409, false, "First keep nothing of the version ready: `sampan provision FUNCTION:VERSION --off`.";
    FAILED_PROVISIONED_EXCEED_AVAILABLE = "FailedOperation.ProvisionedExceedAvailable", 409, false, "";
    FAILED_PROVISIONED_EXCEED_RESERVED = "FailedOperation.ProvisionedExceedReserved", 409, false, "";
    FAILED_VERSION_NOT_ACTIVE =
        "FailedOperation.FunctionVersionStatusNotActive", 409, true, "Wait until the version is Active and try again.";
    FAILED_PUBLISH_VERSION =
        "FailedOperation.PublishVersion", 409, true, "Wait until the function is Active and try again.";
    FAILED_QUERY = "FailedOperation.QueryError", 500, true, "";
    FAILED_RESERVED_EXCEED_TOTAL = "FailedOperation.ReservedExceedTotal", 409, false, "";
    FAILED_RESERVED_IN_PROGRESS = "FailedOperation.ReservedInProgress", 409, true, "Wait until the function is Active and try again.";
    FAILED_SSL = "FailedOperation.Ssl", 409, false, "";
    FAILED_UPDATE_ALIAS = "FailedOperation.UpdateAlias", 409, false, "Wait for its deletion, then deploy again.";
    FAILED_UPDATE_FUNCTION_CODE = "FailedOperation.UpdateFunctionCode", 409, true, "Wait until the function is Active and try again.";
    FAILED_UPDATE_FUNCTION_CONFIGURATION = "FailedOperation.UpdateFunctionConfiguration", 409, true, "Wait until the function is Active and try again.";
    FAILED_UPDATE_TRIGGER_STATUS = "FailedOperation.UpdateTriggerStatus", 409, false, "";
    INTERNAL_ERROR = "InternalError", 500, true, "The platform log has the cause under this request id.";
    INTERNAL_SYSTEM = "InternalError.System", 500, true, "The platform log has the cause under this request id.";
    INVALID_ACTION = "InvalidAction", 400, false, "Name one of the actions of product scf, version 2018-04-16, in X-TC-Action.";
    INVALID_PARAMETER = "InvalidParameter", 400, false, "";
    INVALID_PARAMETER_FUNCTION_NAME = "InvalidParameter.FunctionName", 400, false, "";
    INVALID_PARAMETER_FUNCTION_NAME_REQUIRED = "InvalidParameter.FunctionNameOrResourceIdRequired", 400, false, "";
    INVALID_PARAMETER_REQUEST_TOO_LARGE = "InvalidParameter.RequestTooLarge", 413, false, "";
    INVALID_ROUTING_CONFIG = "InvalidParameter.RoutingConfig", 400, false, "";
    INVALID_VALUE = "InvalidParameterValue", 400, false, "";
    INVALID_VALUE_ASYNC_TRIGGER_CONFIG = "InvalidParameterValue.AsyncTriggerConfig", 400, false, "";
    INVALID_VALUE_ADDITIONAL_VERSION_WEIGHTS = "InvalidParameterValue.AdditionalVersionWeights", 400, false, "";
    INVALID_VALUE_ALIAS = "InvalidParameterValue.Alias", 400, false, "";
    INVALID_VALUE_ARGS = "InvalidParameterValue.Args", 400, false, "";
    INVALID_VALUE_ARGS_LIST = "InvalidParameterValue.ArgsList", 400, false, "";
    INVALID_VALUE_ASYNC_RUN_ENABLE = "InvalidParameterValue.AsyncRunEnable", 400, false, "";
    INVALID_VALUE_CLIENT_CONTEXT = "InvalidParameterValue.ClientContext", 400, false, "";
    INVALID_VALUE_CODE = "InvalidParameterValue.Code", 400, false, "";
    INVALID_VALUE_COMMAND = "InvalidParameterValue.Command", 400, false, "";
    INVALID_VALUE_COMMAND_LIST = "InvalidParameterValue.CommandList", 400, false, "";
    INVALID_VALUE_CORS = "InvalidParameterValue.Cors", 400, false, "";
    INVALID_VALUE_CUSTOM_ARGUMENT = "InvalidParameterValue.CustomArgument", 400, false, "";
    INVALID_VALUE_DATE_TIME = "InvalidParameterValue.DateTime", 400, false, "";
    INVALID_VALUE_DEAD_LETTER_CONFIG = "InvalidParameterValue.DeadLetterConfig", 400, false, "";
    INVALID_VALUE_DEFAULT_NAMESPACE = "InvalidParameterValue.DefaultNamespace", 400, false, "";
    INVALID_VALUE_DESCRIPTION = "InvalidParameterValue.Description", 400, false, "";
    INVALID_VALUE_DOMAIN = "InvalidParameterValue.Domain", 400, false, "";
    INVALID_VALUE_DYNAMIC_ENABLED = "InvalidParameterValue.DynamicEnabled", 400, false, "";
    INVALID_VALUE_ENABLE = "InvalidParameterValue.Enable", 400, false, "";
    INVALID_VALUE_ENVIRONMENT = "InvalidParameterValue.Environment", 400, false, "";
    INVALID_VALUE_ENVIRONMENT_LIMIT = "InvalidParameterValue.EnvironmentExceededLimit", 400, false, "";
    INVALID_VALUE_ENVIRONMENT_PROTECT = "InvalidParameterValue.EnvironmentSystemProtect", 400, false, "";
    INVALID_VALUE_FILTERS = "InvalidParameterValue.Filters", 400, false, "";
    INVALID_VALUE_FUNCTION_NAME = "InvalidParameterValue.FunctionName", 400, false, "";
    INVALID_VALUE_FUNCTION_REQUEST_ID = "InvalidParameterValue.FunctionRequestId", 400, false, "";
    INVALID_VALUE_FUNCTION_TYPE = "InvalidParameterValue.FunctionType", 400, false, "";
    INVALID_VALUE_IDLE_TIMEOUT = "InvalidParameterValue.IdleTimeOut", 400, false, "";
    INVALID_VALUE_IMAGE_TYPE = "InvalidParameterValue.ImageType", 400, false, "";
    INVALID_VALUE_IMAGE_URI = "InvalidParameterValue.ImageUri", 400, false, "";
    INVALID_VALUE_CONCURRENCY_CONFIG = "InvalidParameterValue.InstanceConcurrencyConfig", 400, false, "";
    INVALID_VALUE_LAYERS = "InvalidParameterValue.Layers", 400, false, "Put what the layers hold into the image.";
    INVALID_VALUE_LIMIT = "InvalidParameterValue.Limit", 400, false, "";
    INVALID_VALUE_MAX_CONCURRENCY = "InvalidParameterValue.MaxConcurrency", 400, false, "";
    INVALID_VALUE_MEMORY = "InvalidParameterValue.Memory", 400, false, "";
    INVALID_VALUE_MEMORY_SIZE = "InvalidParameterValue.MemorySize", 400, false, "";
    INVALID_VALUE_MIN_CAPACITY = "InvalidParameterValue.MinCapacity", 400, false, "";
    INVALID_VALUE_NAME = "InvalidParameterValue.Name", 400, false, "";
    INVALID_VALUE_NAMESPACE = "InvalidParameterValue.Namespace", 400, false, "";
    INVALID_VALUE_NAMESPACE_INVALID = "InvalidParameterValue.NamespaceInvalid", 400, false, "";
    INVALID_VALUE_OFFSET = "InvalidParameterValue.Offset", 400, false, "";
    INVALID_VALUE_ORDER = "InvalidParameterValue.Order", 400, false, "";
    INVALID_VALUE_ORDER_BY = "InvalidParameterValue.OrderBy", 400, false, "";
    INVALID_VALUE_PARAM = "InvalidParameterValue.Param", 400, false, "";
    INVALID_VALUE_PORT = "InvalidParameterValue.Port", 400, false, "";
    INVALID_VALUE_PROTOCOL_TYPE = "InvalidParameterValue.ProtocolType", 400, false, "";
    INVALID_VALUE_PROVISION_CRON_DUPLICATE = "InvalidParameterValue.ProvisionTriggerCronConfigDuplicate", 400, false, "";
    INVALID_VALUE_PROVISION_NAME = "InvalidParameterValue.ProvisionTriggerName", 400, false, "";
    INVALID_VALUE_PROVISION_NAME_DUPLICATE = "InvalidParameterValue.ProvisionTriggerNameDuplicate", 400, false, "";
    INVALID_VALUE_PROVISION_TYPE = "InvalidParameterValue.ProvisionType", 400, false, "";
    INVALID_VALUE_PUBLIC_NET_CONFIG = "InvalidParameterValue.PublicNetConfig", 400, false, "";
    INVALID_VALUE_QUALIFIER = "InvalidParameterValue.Qualifier", 400, false, "";
    INVALID_VALUE_REGISTRY_ID = "InvalidParameterValue.RegistryId", 400, false, "";
    INVALID_VALUE_RET_CODE = "InvalidParameterValue.RetCode", 400, false, "";
    INVALID_VALUE_ROUTING_CONFIG = "InvalidParameterValue.RoutingConfig", 400, false, "";
    INVALID_VALUE_RUNTIME = "InvalidParameterValue.Runtime", 400, false, "Leave Runtime out, or send CustomImage.";
    INVALID_VALUE_SEARCH_KEY = "InvalidParameterValue.SearchKey", 400, false, "";
    INVALID_VALUE_START_OR_END_TIME = "InvalidParameterValue.StartTimeOrEndTime", 400, false, "";
    INVALID_VALUE_TRACE_ENABLE = "InvalidParameterValue.TraceEnable", 400, false, "";
    INVALID_VALUE_TRACKING_TARGET = "InvalidParameterValue.TrackingTarget", 400, false, "";
    INVALID_VALUE_TRIGGER_CRON = "InvalidParameterValue.TriggerCronConfig", 400, false, "";
    INVALID_VALUE_TRIGGER_DESC = "InvalidParameterValue.TriggerDesc", 400, false, "";
    INVALID_VALUE_TRIGGER_NAME = "InvalidParameterValue.TriggerName", 400, false, "";
    INVALID_VALUE_TRIGGER_NUMBER = "InvalidParameterValue.TriggerProvisionedConcurrencyNum", 400, false, "";
    INVALID_VALUE_TYPE = "InvalidParameterValue.Type", 400, false, "";
    INVALID_VALUE_WEBSOCKETS_PARAMS = "InvalidParameterValue.WebSocketsParams", 400, false, "";
    INVALID_REQUEST = "InvalidRequest", 400, false, "";
    LIMIT_EXCEEDED = "LimitExceeded", 429, false, "";
    LIMIT_ALIAS = "LimitExceeded.Alias", 429, false, "Delete aliases that are not needed with `sampan alias delete`.";
    LIMIT_FUNCTION = "LimitExceeded.Function", 429, false, "Delete functions that are not needed with `sampan delete`, or raise the limit in the configuration.";
    LIMIT_FUNCTION_RESERVED_MEMORY = "LimitExceeded.FunctionReservedConcurrencyMemory", 400, false, "";
    LIMIT_FUNCTION_VERSIONS = "LimitExceeded.FunctionVersions", 429, false, "Delete versions that are not needed.";
    LIMIT_INIT_TIMEOUT = "LimitExceeded.InitTimeout", 400, false, "";
    LIMIT_MAX_CAPACITY = "LimitExceeded.MaxCapacity", 400, false, "";
    LIMIT_MEMORY = "LimitExceeded.Memory", 400, false, "";
    LIMIT_MSG_TTL = "LimitExceeded.MsgTTL", 400, false, "";
    LIMIT_NAMESPACE = "LimitExceeded.Namespace", 429, false, "Delete namespaces that are not needed.";
    LIMIT_OFFSET = "LimitExceeded.Offset", 400, false, "";
    LIMIT_RETRY_NUM = "LimitExceeded.RetryNum", 400, false, "";
    LIMIT_TIMEOUT = "LimitExceeded.Timeout", 400, false, "";
    LIMIT_TRIGGER = "LimitExceeded.Trigger", 429, false, "Delete triggers that are not needed with `sampan trigger delete`.";
    LIMIT_PROVISIONED_NUMBER = "LimitExceeded.FunctionTotalProvisionedConcurrencyNum", 400, false, "";
    LIMIT_PROVISION_ACTIONS = "LimitExceeded.ProvisionTriggerAction", 400, false, "";
    LIMIT_USER_TOTAL_MEMORY = "LimitExceeded.UserTotalConcurrencyMemory", 400, false, "";
    MISSING_PARAMETER = "MissingParameter", 400, false, "";
    MISSING_PARAMETER_CODE = "MissingParameter.Code", 400, false, "";
    NO_SUCH_VERSION = "NoSuchVersion", 400, false, "Send X-TC-Version: 2018-04-16.";
    REQUEST_LIMIT_EXCEEDED = "RequestLimitExceeded", 429, true, "Send fewer requests at once.";
    REQUEST_SIZE_LIMIT_EXCEEDED = "RequestSizeLimitExceeded", 413, false, "";
    RESOURCE_IN_USE = "ResourceInUse", 409, false, "";
    RESOURCE_IN_USE_ALIAS = "ResourceInUse.Alias", 409, false, "Choose another name, or change the alias with `sampan alias update`.";
    RESOURCE_IN_USE_FUNCTION = "ResourceInUse.Function", 409, false, "Choose another name, or delete the function first with `sampan delete`.";
    RESOURCE_IN_USE_FUNCTION_NAME = "ResourceInUse.FunctionName", 409, false, "Choose another name, delete the function first, or copy with Override.";
    RESOURCE_IN_USE_NAMESPACE = "ResourceInUse.Namespace", 409, false, "Choose another name; to delete, first delete the functions in it.";
    RESOURCE_IN_USE_TRIGGER_NAME = "ResourceInUse.TriggerName", 409, false, "Choose another name, or change the trigger with `sampan trigger update`.";
    RESOURCE_INSUFFICIENT = "ResourceInsufficient", 503, true, "";
    RESOURCE_NOT_FOUND = "ResourceNotFound", 404, false, "";
    RESOURCE_NOT_FOUND_ALIAS = "ResourceNotFound.Alias", 404, false, "`sampan alias list` shows what there is.";
    RESOURCE_NOT_FOUND_ASYNC_EVENT =
        "ResourceNotFound.AsyncEvent", 404, false, "`sampan events list FUNCTION` shows the ids that are kept.";
    RESOURCE_NOT_FOUND_FUNCTION = "ResourceNotFound.Function", 404, false, "`sampan list` shows what there is; check the namespace too.";
    RESOURCE_NOT_FOUND_FUNCTION_VERSION = "ResourceNotFound.FunctionVersion", 404, false, "`sampan publish` creates a version and prints its number.";
    RESOURCE_NOT_FOUND_IMAGE_CONFIG = "ResourceNotFound.ImageConfig", 404, false, "";
    RESOURCE_NOT_FOUND_NAMESPACE = "ResourceNotFound.Namespace", 404, false, "Check the namespace; without --namespace it is default.";
    RESOURCE_NOT_FOUND_QUALIFIER =
        "ResourceNotFound.Qualifier", 404, false, "`sampan alias list FUNCTION` shows the aliases.";
    RESOURCE_NOT_FOUND_TRIGGER = "ResourceNotFound.Trigger", 404, false, "`sampan trigger list FUNCTION` shows what there is.";
    RESOURCE_NOT_FOUND_VERSION =
        "ResourceNotFound.Version", 404, false, "`sampan publish` creates a version and prints its number.";
    SERVICE_UNAVAILABLE = "ServiceUnavailable", 503, true, "Try again in a moment.";
    UNSUPPORTED_OPERATION = "UnsupportedOperation", 501, false, "";
    UNSUPPORTED_ALIAS_BIND = "UnsupportedOperation.AliasBind", 409, false, "";
    UNSUPPORTED_ASYNC_RUN_ENABLE = "UnsupportedOperation.AsyncRunEnable", 501, false, "";
    UNSUPPORTED_COPY_FUNCTION = "UnsupportedOperation.CopyFunction", 501, false, "";
    UNSUPPORTED_REGION = "UnsupportedOperation.Region", 501, false, "";
    UNSUPPORTED_TRIGGER = "UnsupportedOperation.Trigger", 501, false, "";
    UNSUPPORTED_UPDATE_FUNCTION_CODE = "UnsupportedOperation.UpdateFunctionCode", 409, false, "";
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol", 405, false, "Send POST with a JSON body, or GET.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// An error for a client: code and message. Details for the operator go to the platform log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The row of the table.
    pub code: ErrorCode,
    /// The failed operation and its subject.
    pub message: String,
}

impl ApiError {
    /// An error of this code with this message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_commands_and_no_actions() {
        const VERBS: [&str; 8] = ["Create", "Get", "List", "Update", "Delete", "Publish", "Put", "Invoke"];
        let is_action = |word: &str| {
            let object = VERBS.iter().find_map(|verb| word.strip_prefix(verb));
            object.is_some_and(|object| object.starts_with(|first: char| first.is_ascii_uppercase()))
        };
        for code in ErrorCode::ALL {
            assert!(!code.hint.split(|c: char| !c.is_alphanumeric()).any(is_action), "{code}: {}", code.hint);
        }
    }

    #[test]
    fn every_code_is_listed_once_and_has_a_plausible_status() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|c| c.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(ErrorCode::ALL.iter().all(|c| (400..600).contains(&c.http_status)));
    }
}
