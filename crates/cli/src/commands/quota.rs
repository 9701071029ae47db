//! `sampan quota`: memory quotas of the installation and of functions.

use serde_json::{Value, json};

use crate::args::quota::{QuotaArgs, Reserved};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::output;

/// Runs the command.
pub async fn run(connection: &Connection, args: QuotaArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.function {
        Some(function) => of_function(&client, &function, &args.namespace, args.reserved, format).await,
        None => of_installation(&client, args.total, format).await,
    }
}

async fn of_function(
    client: &Client,
    function: &str,
    namespace: &str,
    reserved: Option<Reserved>,
    format: Output,
) -> anyhow::Result<()> {
    let mut request = json!({"FunctionName": function, "Namespace": namespace});
    match reserved {
        Some(Reserved::Memory(mb)) => {
            request["ReservedConcurrencyMem"] = mb.into();
            client.call("PutReservedConcurrencyConfig", &request).await?;
        }
        Some(Reserved::None) => drop(client.call("DeleteReservedConcurrencyConfig", &request).await?),
        None => {}
    }
    let named = json!({"FunctionName": function, "Namespace": namespace});
    let answer = client.call("GetReservedConcurrencyConfig", &named).await?;
    let reserved_mb = answer.get("ReservedMem").and_then(Value::as_u64);
    if format == Output::Json {
        return output::json(&json!({"function": function, "namespace": namespace, "reserved_mb": reserved_mb}));
    }
    match reserved_mb {
        Some(0) => println!("{function} is disabled: its quota is 0 MB"),
        Some(mb) => println!("{function} has {mb} MB reserved"),
        None => println!("{function} shares unreserved memory"),
    }
    Ok(())
}

async fn of_installation(client: &Client, total: Option<u64>, format: Output) -> anyhow::Result<()> {
    if let Some(mb) = total {
        client.call("PutTotalConcurrencyConfig", &json!({"TotalConcurrencyMem": mb})).await?;
    }
    let account = client.call("GetAccount", &json!({})).await?;
    let usage = account.get("AccountUsage").cloned().unwrap_or_default();
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (total_mb, reserved_mb) =
        (number(&usage, "TotalConcurrencyMem"), number(&usage, "TotalAllocatedConcurrencyMem"));
    let namespaces = usage.get("Namespace").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |namespace: &Value| {
        let name = namespace.get("Namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
        (name, number(namespace, "TotalConcurrencyMem"), number(namespace, "TotalAllocatedConcurrencyMem"))
    };
    let namespaces: Vec<_> = namespaces.iter().map(of).collect();
    if format == Output::Json {
        let each = |(name, used_mb, reserved_mb): &(String, u64, u64)| json!({"namespace": name, "used_mb": used_mb, "reserved_mb": reserved_mb});
        let namespaces: Vec<Value> = namespaces.iter().map(each).collect();
        let max_mb = number(&usage, "UserConcurrencyMemLimit");
        return output::json(&json!({
            "total_mb": total_mb, "max_mb": max_mb, "reserved_mb": reserved_mb, "namespaces": namespaces,
        }));
    }
    println!("quota {total_mb} MB, of which {reserved_mb} MB are reserved for functions");
    let rows: Vec<Vec<String>> = namespaces
        .iter()
        .map(|(name, used_mb, reserved_mb)| vec![name.clone(), used_mb.to_string(), reserved_mb.to_string()])
        .collect();
    output::table(&["NAMESPACE", "USED MB", "RESERVED MB"], &rows);
    Ok(())
}
