//! `sampan domain …`: custom domains and their routes.

use serde_json::{Map, Value, json};

use crate::args::domain::{AddArgs, ChangeArgs, DomainArgs, DomainCommand, Protocol, Rewrite, Route};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::output;

/// Page size of listings.
const PAGE_LEN: usize = 100;

/// Runs the command.
pub async fn run(connection: &Connection, args: DomainArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        DomainCommand::Add(args) => {
            client.call("CreateCustomDomain", &addition(&args)).await?;
            show(&client, &args.domain, format).await
        }
        DomainCommand::Update(args) => {
            client.call("UpdateCustomDomain", &change(&args)).await?;
            show(&client, &args.domain, format).await
        }
        DomainCommand::List { function } => list(&client, function.as_deref(), format).await,
        DomainCommand::Get { domain } => show(&client, &domain, format).await,
        DomainCommand::Remove { domain } => remove(&client, &domain, format).await,
    }
}

fn addition(args: &AddArgs) -> Value {
    let (protocol, certificate) = (Some(args.protocol), args.certificate.as_deref());
    request(&args.domain, &args.route, &args.rewrite, protocol, certificate)
}

fn change(args: &ChangeArgs) -> Value {
    request(&args.domain, &args.route, &args.rewrite, args.protocol, args.certificate.as_deref())
}

/// Builds a request with the given fields.
fn request(
    domain: &str,
    routes: &[Route],
    rewrites: &[Rewrite],
    protocol: Option<Protocol>,
    certificate: Option<&str>,
) -> Value {
    let mut request = Map::from_iter([("Domain".to_owned(), Value::from(domain))]);
    if let Some(protocol) = protocol {
        let word = match protocol {
            Protocol::Http => "HTTP",
            Protocol::Https => "HTTPS",
            Protocol::Both => "HTTP&HTTPS",
        };
        request.insert("Protocol".to_owned(), word.into());
    }
    if let Some(name) = certificate {
        request.insert("CertConfig".to_owned(), json!({ "CertificateId": name }));
    }
    if !routes.is_empty() {
        let endpoints: Vec<Value> = routes.iter().map(|route| endpoint(route, rewrites)).collect();
        request.insert("EndpointsConfig".to_owned(), endpoints.into());
    }
    request.into()
}

/// Builds a route with all rewrites; only those of its path can match.
fn endpoint(route: &Route, rewrites: &[Rewrite]) -> Value {
    let rule = |rewrite: &Rewrite| {
        let kind = if rewrite.path.ends_with('*') { "WildcardRules" } else { "ExactRules" };
        json!({"Path": rewrite.path, "Type": kind, "Rewrite": rewrite.to})
    };
    json!({
        "PathMatch": route.path, "Namespace": route.namespace, "FunctionName": route.function,
        "Qualifier": route.qualifier, "PathRewrite": rewrites.iter().map(rule).collect::<Vec<_>>(),
    })
}

/// Lists domains with a route to a function.
pub(super) async fn of_function(client: &Client, namespace: &str, function: &str) -> anyhow::Result<Vec<String>> {
    let domains = all(client, Some(function)).await?;
    let leads_there = |domain: &&Value| {
        let endpoints = domain.get("EndpointsConfig").and_then(Value::as_array);
        endpoints.into_iter().flatten().any(|to| to["Namespace"] == namespace && to["FunctionName"] == function)
    };
    let name = |domain: &Value| domain["Domain"].as_str().map(str::to_owned);
    Ok(domains.iter().filter(leads_there).filter_map(name).collect())
}

async fn list(client: &Client, function: Option<&str>, format: Output) -> anyhow::Result<()> {
    let domains = all(client, function).await?;
    if format == Output::Json {
        return output::json(&domains);
    }
    let rows: Vec<Vec<String>> = domains.iter().flat_map(rows).collect();
    output::table(&["DOMAIN", "PROTOCOL", "PATH", "FUNCTION"], &rows);
    Ok(())
}

async fn all(client: &Client, function: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let filters = function.map(|name| json!([{"Name": "FunctionName", "Values": [name]}])).unwrap_or(json!([]));
    let mut domains: Vec<Value> = Vec::new();
    loop {
        let request = json!({"Offset": domains.len(), "Limit": PAGE_LEN, "Order": "ASC", "Filters": filters});
        let answer = client.call("ListCustomDomains", &request).await?;
        let page = answer.get("Domains").and_then(Value::as_array).cloned().unwrap_or_default();
        let last = page.len() < PAGE_LEN;
        domains.extend(page);
        if last {
            return Ok(domains);
        }
    }
}

async fn show(client: &Client, domain: &str, format: Output) -> anyhow::Result<()> {
    let found = client.call("GetCustomDomain", &json!({ "Domain": domain })).await?;
    if format == Output::Json {
        return output::json(&found);
    }
    output::table(&["DOMAIN", "PROTOCOL", "PATH", "FUNCTION"], &rows(&found));
    Ok(())
}

async fn remove(client: &Client, domain: &str, format: Output) -> anyhow::Result<()> {
    client.call("DeleteCustomDomain", &json!({ "Domain": domain })).await?;
    match format {
        Output::Json => output::json(&json!({ "removed": domain })),
        Output::Text => {
            println!("removed {domain}");
            Ok(())
        }
    }
}

/// One table row per path of a domain.
fn rows(domain: &Value) -> Vec<Vec<String>> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let endpoints = domain.get("EndpointsConfig").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |endpoint: &Value| {
        let (namespace, function) = (text(endpoint, "Namespace"), text(endpoint, "FunctionName"));
        let target = format!("{namespace}/{function}:{}", text(endpoint, "Qualifier"));
        vec![text(domain, "Domain"), text(domain, "Protocol"), text(endpoint, "PathMatch"), target]
    };
    endpoints.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_request_contains_the_given_fields_only() {
        let route: Route = "/*=hello:1".parse().expect("valid");
        let rewrites = ["/api/*=/$", "/a=/b"].map(|text| text.parse::<Rewrite>().expect("valid"));
        let said = request("a.example.com", &[route], &rewrites, Some(Protocol::Both), Some("main"));
        assert_eq!(said["Protocol"], "HTTP&HTTPS");
        assert_eq!(said["CertConfig"], json!({"CertificateId": "main"}));
        let endpoint = &said["EndpointsConfig"][0];
        assert_eq!((&endpoint["PathMatch"], &endpoint["Qualifier"]), (&json!("/*"), &json!("1")));
        assert_eq!(endpoint["PathRewrite"][0], json!({"Path": "/api/*", "Type": "WildcardRules", "Rewrite": "/$"}));
        assert_eq!(endpoint["PathRewrite"][1]["Type"], "ExactRules");
        assert_eq!(request("a.example.com", &[], &[], None, None), json!({"Domain": "a.example.com"}));
    }

    #[test]
    fn tls_needs_a_certificate() {
        let is_taken = |more: &[&str]| {
            let line = ["sampan", "domain", "add", "a.example.com", "--route", "/*=hello"];
            Cli::try_parse_from(line.iter().chain(more)).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!((is_taken(&[]), is_taken(&["--protocol", "http"])), (Ok(()), Ok(())));
        for protocol in ["https", "both"] {
            let refused = is_taken(&["--protocol", protocol]).expect_err(protocol);
            assert!(refused.contains("--certificate <NAME>"), "{refused}");
            assert_eq!(is_taken(&["--protocol", protocol, "--certificate", "main"]), Ok(()));
        }
    }

    #[test]
    fn each_path_has_a_row() {
        let endpoint = json!({"Namespace": "default", "FunctionName": "hello", "Qualifier": "1", "PathMatch": "/"});
        let domain = json!({"Domain": "a.b", "Protocol": "HTTP", "EndpointsConfig": [endpoint]});
        assert_eq!(rows(&domain), [["a.b", "HTTP", "/", "default/hello:1"]]);
    }
}
