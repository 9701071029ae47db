//! `sampan alias …`: aliases and their routes.

use serde_json::{Map, Value, json};

use crate::args::release::{AliasArgs, AliasCommand, AliasName, ChangeArgs, RouteArgs, RouteMore};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// Page size of listings.
const PAGE_LEN: usize = 100;

/// Runs the command.
pub async fn run(connection: &Connection, args: AliasArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        AliasCommand::Create(RouteArgs { name, version, more }) => {
            client.call("CreateAlias", &request(&name, &version, &more)).await?;
            show(&client, &name, format).await
        }
        AliasCommand::Update(ChangeArgs { name, version, more }) => {
            let kept = client.call("GetAlias", &named(&name).into()).await?;
            client.call("UpdateAlias", &change(&name, version.as_deref(), &more, &kept)).await?;
            show(&client, &name, format).await
        }
        AliasCommand::Get(name) => show(&client, &name, format).await,
        AliasCommand::List { function, namespace, version } => {
            list(&client, &function, &namespace, version.as_deref(), format).await
        }
        AliasCommand::Delete(name) => delete(&client, &name, format).await,
    }
}

/// Whether a call failed because the alias does not exist.
pub fn is_unknown(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Failure>().and_then(Failure::api_code);
    code.is_some_and(|code| code.starts_with("ResourceNotFound.Alias"))
}

fn named(name: &AliasName) -> Map<String, Value> {
    let text = |text: &str| Value::from(text.to_owned());
    Map::from_iter([
        ("FunctionName".to_owned(), text(&name.function)),
        ("Namespace".to_owned(), text(&name.namespace)),
        ("Name".to_owned(), text(&name.alias)),
    ])
}

/// Request that changes an alias. It repeats the whole route of `kept` unless a flag changes it;
/// the API keeps the description.
fn change(name: &AliasName, version: Option<&str>, more: &RouteMore, kept: &Value) -> Value {
    let main = kept.get("FunctionVersion").and_then(Value::as_str).unwrap_or_default();
    let mut request = request(name, version.unwrap_or(main), more);
    if version.is_none() && more.weight.is_none() && more.rule.is_none() {
        request["RoutingConfig"] = kept.get("RoutingConfig").cloned().unwrap_or_default();
    }
    request
}

fn request(name: &AliasName, version: &str, route: &RouteMore) -> Value {
    let mut request = named(name);
    request.insert("FunctionVersion".to_owned(), version.into());
    if let Some(weight) = &route.weight {
        let weights = json!([{"Version": weight.version, "Weight": weight.share}]);
        request.insert("RoutingConfig".to_owned(), json!({ "AdditionalVersionWeights": weights }));
    }
    if let Some(rule) = &route.rule {
        let rules = json!([{
            "Version": rule.version, "Key": format!("invoke.headers.{}", rule.header), "Method": rule.method,
            "Expression": rule.expression,
        }]);
        // The API's spelling.
        request.insert("RoutingConfig".to_owned(), json!({ "AddtionVersionMatchs": rules }));
    }
    if let Some(description) = &route.description {
        request.insert("Description".to_owned(), description.as_str().into());
    }
    request.into()
}

async fn list(
    client: &Client,
    function: &str,
    namespace: &str,
    version: Option<&str>,
    format: Output,
) -> anyhow::Result<()> {
    let mut aliases: Vec<Value> = Vec::new();
    loop {
        let request = json!({
            "FunctionName": function, "Namespace": namespace, "FunctionVersion": version.unwrap_or_default(),
            "Offset": aliases.len().to_string(), "Limit": PAGE_LEN.to_string(),
        });
        let mut answer = client.call("ListAliases", &request).await?;
        client.localize(&mut answer).await?;
        let page = answer.get("Aliases").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = page.len() < PAGE_LEN;
        aliases.extend(page);
        if last {
            break;
        }
    }
    if format == Output::Json {
        return output::json(&aliases);
    }
    let row = |alias: &Value| {
        let text = |name: &str| alias.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        vec![text("Name"), route(alias), text("ModTime"), text("Description")]
    };
    let rows: Vec<Vec<String>> = aliases.iter().map(row).collect();
    output::table(&["NAME", "ROUTE", "MODIFIED", "DESCRIPTION"], &rows);
    Ok(())
}

async fn delete(client: &Client, name: &AliasName, format: Output) -> anyhow::Result<()> {
    client.call("DeleteAlias", &named(name).into()).await?;
    match format {
        Output::Json => output::json(&json!({
            "deleted": name.alias, "function": name.function, "namespace": name.namespace,
        })),
        Output::Text => {
            println!("deleted alias {} of {}", name.alias, name.function);
            Ok(())
        }
    }
}

async fn show(client: &Client, name: &AliasName, format: Output) -> anyhow::Result<()> {
    let mut alias = client.call("GetAlias", &named(name).into()).await?;
    client.localize(&mut alias).await?;
    if format == Output::Json {
        return output::json(&alias);
    }
    println!("{} -> {}", name.alias, route(&alias));
    Ok(())
}

/// An alias's route as text.
fn route(alias: &Value) -> String {
    let main = alias.get("FunctionVersion").and_then(Value::as_str).unwrap_or_default();
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(weight) = alias.pointer("/RoutingConfig/AdditionalVersionWeights/0") {
        let share = weight.get("Weight").and_then(Value::as_f64).unwrap_or_default();
        // Weights have six decimal places; further ones would be rounding errors of binary
        // fractions.
        let percent = (share * 100.0 * 1e4).round() / 1e4;
        return format!("{main}, {percent}% to {}", text(weight, "Version"));
    }
    if let Some(rule) = alias.pointer("/RoutingConfig/AddtionVersionMatchs/0") {
        let (version, key, method) = (text(rule, "Version"), text(rule, "Key"), text(rule, "Method"));
        let sign = if method == "range" { "in" } else { "=" };
        return format!("{main}, {key} {sign} {} to {version}", text(rule, "Expression"));
    }
    main.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_settings_without_flags() {
        let name = AliasName { function: "f".into(), alias: "prod".into(), namespace: "default".into() };
        let weights =
            json!({"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.05}], "AddtionVersionMatchs": []});
        let kept = json!({"Name": "prod", "FunctionVersion": "1", "RoutingConfig": weights, "Description": "d"});
        let more = |weight: Option<&str>, description: Option<&str>| RouteMore {
            weight: weight.map(|text| text.parse().expect("a weight")),
            rule: None,
            description: description.map(str::to_owned),
        };
        let described = change(&name, None, &more(None, Some("x")), &kept);
        assert_eq!((&described["FunctionVersion"], &described["RoutingConfig"]), (&json!("1"), &weights));
        let shared = change(&name, None, &more(Some("3=0.1"), None), &kept);
        assert_eq!(shared["FunctionVersion"], "1");
        assert_eq!(shared["RoutingConfig"]["AdditionalVersionWeights"][0]["Version"], "3");
        let led = change(&name, Some("2"), &more(None, None), &kept);
        assert_eq!((&led["FunctionVersion"], led.get("RoutingConfig")), (&json!("2"), None));
        assert_eq!(led.get("Description"), None, "the API keeps it");
    }

    #[test]
    fn routes_are_shown_as_text() {
        let with = |config: Value| json!({"Name": "prod", "FunctionVersion": "1", "RoutingConfig": config});
        assert_eq!(route(&with(json!({"AdditionalVersionWeights": []}))), "1");
        let weights = json!({"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.07}]});
        assert_eq!(route(&with(weights)), "1, 7% to 2");
        let rule = json!({"Version": "2", "Key": "invoke.headers.user", "Method": "range", "Expression": "[1,5]"});
        assert_eq!(route(&with(json!({"AddtionVersionMatchs": [rule]}))), "1, invoke.headers.user in [1,5] to 2");
    }
}
