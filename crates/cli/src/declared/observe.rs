//! Reads what is there of an installation.

use serde_json::{Value, json};

use super::model::{Events, FunctionName};
use super::platform::function::{self, Observed, named};
use crate::client::Client;
use crate::failure::Failure;

/// The function, if it is there.
pub async fn function(client: &Client, name: &FunctionName) -> anyhow::Result<Option<Observed>> {
    let request = Value::Object(named(name));
    let answer = match client.call("GetFunction", &request).await {
        Ok(answer) => answer,
        Err(error) if is_unknown(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut observed = function::observed(&answer, client.registry());
    let reserved = client.call("GetReservedConcurrencyConfig", &request).await?;
    observed.function.reserved = reserved.get("ReservedMem").and_then(Value::as_u64);
    let events = client.call("GetFunctionEventInvokeConfig", &request).await?;
    observed.function.events = Some(event_config(&events));
    Ok(Some(observed))
}

/// Whether a call failed because what it names is not there.
pub fn is_unknown(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Failure>().and_then(Failure::api_code);
    code.is_some_and(|code| code.starts_with("ResourceNotFound"))
}

fn event_config(answer: &Value) -> Events {
    let number = |pointer: &str| {
        let number = answer.pointer(&format!("/AsyncTriggerConfig/{pointer}")).and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok())
    };
    Events { retries: number("RetryConfig/0/RetryNum"), ttl: number("MsgTTL") }.filled()
}

/// `UpdateFunctionEventInvokeConfig`.
pub fn event_change(name: &FunctionName, events: &Events) -> Value {
    let mut request = named(name);
    let config = json!({"RetryConfig": [{"RetryNum": events.retries}], "MsgTTL": events.ttl});
    request.insert("AsyncTriggerConfig".to_owned(), config);
    request.into()
}
