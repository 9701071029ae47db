//! `sampan events dead-letters`, `dead-letter`, `redrive` and `purge`.

use serde_json::json;
use types::admin::dead_letters::{Answer, Command, DeadLetter, PAGE_MAX, Selection};

use crate::args::Output;
use crate::args::events::{DeadLetterArgs, DeadLettersArgs, PurgeArgs, RedriveArgs, Which};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{local_time, output};

/// Longest reason in a table, in characters.
const RESULT_CHARS_MAX: usize = 60;

pub async fn list(client: &Client, args: DeadLettersArgs, format: Output) -> anyhow::Result<()> {
    if !(1..=PAGE_MAX).contains(&args.limit) {
        return Err(Failure::new(Exit::Usage, format!("--limit must be 1 to {PAGE_MAX}"), "").into());
    }
    let namespace = parsed(&args.namespace)?;
    let function = args.function.as_deref().map(parsed).transpose()?;
    let command = Command::List { namespace, function, after: args.after, limit: args.limit };
    let Answer::DeadLetters(letters) = client.administer_dead_letters(&command).await? else {
        return Err(unexpected());
    };
    if format == Output::Json {
        return output::json(&json!({"dead_letters": letters}));
    }
    let columns = ["ROW", "ID", "FUNCTION", "REASON", "STATUS", "ATTEMPTS", "DIED", "LAST OUTPUT"];
    output::table(&columns, &letters.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn row(letter: &DeadLetter) -> Vec<String> {
    let result = letter.result.as_deref().unwrap_or_default();
    vec![
        letter.row.to_string(),
        letter.id.to_string(),
        letter.function.to_string(),
        letter.reason.clone(),
        letter.status_code.map(|code| code.to_string()).unwrap_or_default(),
        letter.attempts.to_string(),
        local_time::rfc3339(letter.died_ms),
        result.chars().map(|c| if c.is_control() { ' ' } else { c }).take(RESULT_CHARS_MAX).collect(),
    ]
}

pub async fn show(client: &Client, args: &DeadLetterArgs, format: Output) -> anyhow::Result<()> {
    let command = Command::Get { id: parsed(&args.id)? };
    let Answer::DeadLetter(shown) = client.administer_dead_letters(&command).await? else {
        return Err(unexpected());
    };
    if format == Output::Json {
        return output::json(&shown);
    }
    let letter = &shown.dead_letter;
    println!("function:    {}/{}:{}", letter.namespace, letter.function, letter.qualifier);
    let status = letter.status_code.map(|code| format!(" ({code})")).unwrap_or_default();
    println!("reason:      {}{status}, after {} runs", letter.reason, letter.attempts);
    if let Some(destination) = &letter.destination {
        println!("destination: {destination}");
    }
    println!("accepted:    {}", local_time::rfc3339(letter.accepted_ms));
    println!("died:        {}", local_time::rfc3339(letter.died_ms));
    if let Some(redriven_ms) = letter.redriven_ms {
        println!("redriven:    {}", local_time::rfc3339(redriven_ms));
    }
    for before in &shown.history {
        println!("before:      {} {}", local_time::rfc3339(before.died_ms), before.reason);
    }
    println!("last output: {}", letter.result.as_deref().unwrap_or_default());
    match (&shown.payload, &shown.payload_base64) {
        (Some(payload), _) => println!("payload:     {payload}"),
        (None, Some(payload)) => println!("payload:     {payload} (Base64)"),
        (None, None) => {}
    }
    Ok(())
}

pub async fn redrive(client: &Client, args: RedriveArgs, format: Output) -> anyhow::Result<()> {
    let command = Command::Redrive { of: selection(args.which)? };
    let Answer::Redriven(count) = client.administer_dead_letters(&command).await? else {
        return Err(unexpected());
    };
    match format {
        Output::Json => output::json(&json!({"redriven": count})),
        Output::Text => {
            println!("{count} dead letters queued again");
            Ok(())
        }
    }
}

pub async fn purge(client: &Client, args: PurgeArgs, format: Output) -> anyhow::Result<()> {
    if args.which.id.is_none() && !args.force {
        let message = "the payloads of all these dead letters would be lost";
        return Err(Failure::new(Exit::Usage, message, "Add --force to remove them.").into());
    }
    let command = Command::Purge { of: selection(args.which)? };
    let Answer::Purged(count) = client.administer_dead_letters(&command).await? else {
        return Err(unexpected());
    };
    match format {
        Output::Json => output::json(&json!({"purged": count})),
        Output::Text => {
            println!("{count} dead letters were removed");
            Ok(())
        }
    }
}

fn selection(which: Which) -> anyhow::Result<Selection> {
    if let Some(id) = &which.id {
        return Ok(Selection::One(parsed(id)?));
    }
    let function = which.function.as_deref().map(parsed).transpose()?;
    Ok(Selection::All { namespace: parsed(&which.namespace)?, function })
}

fn parsed<T: std::str::FromStr>(text: &str) -> anyhow::Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Failure::new(Exit::Usage, error.to_string(), "").into())
}

fn unexpected() -> anyhow::Error {
    anyhow::anyhow!("the answer is in the format of another version of Sampan").context("cannot read the answer")
}
