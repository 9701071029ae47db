//! Shapes of the cloud API 3.0 (product `scf`, version 2018-04-16), as they stand in requests and
//! answers.
//!
//! Owns names and types of fields, nothing else: every field of a request is optional here, also
//! those that an action requires, so that whoever validates can say which one is missing. Fields
//! that a request has beyond these are ignored.

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

/// The version of the API, as `X-TC-Version` and the parameter `Version` name it.
pub const API_VERSION: &str = "2018-04-16";

/// The switch words of the API: `TRUE` or `FALSE`.
pub fn switch(on: bool) -> &'static str {
    if on { "TRUE" } else { "FALSE" }
}
