//! Types of the cloud API 3.0 (product `scf`, version 2018-04-16), in the form of requests and
//! answers.
//!
//! Owns only names and types of fields. Every request field is optional, including those that an
//! action requires, so that validation can name the missing one. Unknown fields of requests are
//! ignored.

mod account;
mod carried;
mod code;
mod concurrency;
mod events;
mod extras;
mod function;
mod function_requests;
mod invocation;
mod lines;
mod namespace;

pub use account::{
    GetAccountAnswer, LimitsInfo, NamespaceLimit, NamespaceUsage, TRIGGERS_PER_TYPE, TriggerCount, UsageInfo,
};
pub use carried::{
    AccessInfo, CfsConfig, CfsInsInfo, DeadLetterConfig, EipConfigIn, EipConfigOut, EipOutConfig, IntranetConfigIn,
    IntranetConfigOut, LayerVersionSimple, PublicNetConfigIn, PublicNetConfigOut, VpcConfig,
};
pub use code::{Code, ImageConfig};
pub use concurrency::{InstanceConcurrencyConfig, MixNodeConfig, ProtocolParams, SessionConfig, WsParams};
pub use events::{
    AsyncEvent, AsyncEventStatus, AsyncTriggerConfig, FunctionEventInvokeConfigRequest, GetAsyncEventStatusAnswer,
    GetAsyncEventStatusRequest, GetFunctionEventInvokeConfigAnswer, ListAsyncEventsAnswer, ListAsyncEventsRequest,
    Retry, RetryConfig, TerminateAsyncEventRequest, TimeInterval,
};
pub use extras::{Extras, Mount, SecretFile};
pub use function::{
    Environment, Filter, Function, GetFunctionAnswer, ListFunctionsAnswer, ServingSettings, Tag, Variable,
};
pub use function_requests::{
    CopyFunctionRequest, CreateFunctionRequest, DeleteFunctionRequest, GetFunctionRequest, ListFunctionsRequest,
    UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest,
};
pub use invocation::{
    FunctionLog, GetFunctionLogsAnswer, GetFunctionLogsRequest, GetRequestStatusAnswer, GetRequestStatusRequest,
    InvokeAnswer, InvokeFunctionRequest, InvokeRequest, LogFilter, LogSearchContext, LogSearchRequest, RequestStatus,
    RunResult,
};
pub use lines::{
    EXTENSIONS_PATH, GetInvocationResultAnswer, GetInvocationResultRequest, GetLogLinesAnswer, GetLogLinesRequest,
    LogLine,
};
pub use namespace::{
    CreateNamespaceRequest, DeleteNamespaceRequest, ListNamespacesAnswer, ListNamespacesRequest, NamespaceEntry,
    SearchKey, UpdateNamespaceRequest,
};

/// Version of the API, in `X-TC-Version` and the parameter `Version`.
pub const API_VERSION: &str = "2018-04-16";

/// The API's text for a switch: `TRUE` or `FALSE`.
pub fn switch(on: bool) -> &'static str {
    if on { "TRUE" } else { "FALSE" }
}
