//! `sampan list`: lists the functions of a namespace.

use serde_json::{Value, json};

use crate::args::{Connection, ListArgs, Output};
use crate::client::{Client, function_type};
use crate::output;

/// Page size of listings.
const PAGE_LEN: usize = 100;

/// Prints the functions.
pub async fn run(connection: &Connection, args: ListArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let mut functions: Vec<Value> = Vec::new();
    loop {
        let request = json!({
            "Namespace": args.namespace,
            "SearchKey": args.search.as_deref().unwrap_or_default(),
            "Orderby": "FunctionName",
            "Order": "ASC",
            "Offset": functions.len(),
            "Limit": PAGE_LEN,
        });
        let mut answer = client.call("ListFunctions", &request).await?;
        client.localize(&mut answer).await?;
        let page = answer.get("Functions").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = page.len() < PAGE_LEN;
        functions.extend(page);
        if last {
            break;
        }
    }
    if format == Output::Json {
        return output::json(&functions);
    }
    let text = |f: &Value, name: &str| f.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let row = |f: &Value| {
        let kind = function_type(&text(f, "Type")).to_owned();
        vec![text(f, "FunctionName"), kind, text(f, "Status"), text(f, "ModTime"), text(f, "Description")]
    };
    let rows: Vec<Vec<String>> = functions.iter().map(row).collect();
    output::table(&["NAME", "TYPE", "STATUS", "MODIFIED", "DESCRIPTION"], &rows);
    Ok(())
}
