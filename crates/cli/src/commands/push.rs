//! `sampan push`: reads an image and pushes it to Sampan's registry or another one.

use std::path::Path;

use anyhow::Context;
use registry_client::Config;
use serde_json::json;

use crate::address::same_place;
use crate::args::{Connection, Output, PushArgs};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::image_name::resolve;
use crate::output;
use crate::push::content::Content;
use crate::push::from_dir::{self, Recipe};
use crate::push::source;
use crate::push::upload::{self, Destination, Login};

/// Pushes the image, within the limits of `config`.
pub async fn run(connection: &Connection, args: PushArgs, format: Output, config: Config) -> anyhow::Result<()> {
    let own = Client::new(connection);
    let own_registry = own.as_ref().ok().map(Client::registry);
    let (content, name) = read(&args, format).await?;
    let notes: Vec<String> = note(&content, args.from_dir.is_some()).into_iter().collect();
    if format == Output::Text {
        notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let image = resolve(&name, own_registry)?;
    let to_own = own.as_ref().ok().filter(|client| same_place(client.registry(), &image.registry));
    let login = login(&args, to_own)?;
    let is_own_plain = to_own.is_some_and(Client::is_plain);
    let total = content.blobs.iter().map(|b| b.size).sum();
    let bar = output::bytes_bar(format, total, format!("pushing {} blobs", content.blobs.len()));
    let pushed = upload::push(&image, Destination { login, is_own_plain, config }, &content, &bar).await?;
    bar.finish_and_clear();
    match format {
        Output::Json => output::json(&json!({
            "image": image.to_string(), "digest": pushed.digest.as_str(),
            "sent_bytes": pushed.sent_bytes, "present_bytes": pushed.present_bytes,
            "notes": notes,
        })),
        Output::Text => {
            println!("pushed {image}");
            println!(
                "digest {} ({} bytes sent, {} already there)",
                pushed.digest, pushed.sent_bytes, pushed.present_bytes
            );
            Ok(())
        }
    }
}

/// The note for parts of the source that are not pushed.
fn note(content: &Content, is_folder: bool) -> Option<String> {
    let first = content.left_out.first()?;
    Some(match is_folder {
        true => {
            format!(
                "sockets, fifos and devices cannot be in an image: {} left out, the first is {first}",
                content.left_out.len()
            )
        }
        false => format!("not pushed because the source lacks them: {}", content.left_out.join(", ")),
    })
}

async fn read(args: &PushArgs, format: Output) -> anyhow::Result<(Content, String)> {
    let (source, name) = match (&args.from_dir, args.names.as_slice()) {
        (Some(folder), [name]) => (folder.clone(), name.clone()),
        (None, [source, name]) => (source.into(), name.clone()),
        _ => {
            return Err(Failure::new(
                Exit::Usage,
                "push takes a source and the image's name, or --from-dir and the image's name",
                "For example: sampan push hello.tar hello:v1",
            )
            .into());
        }
    };
    let recipe = args.from_dir.is_some().then(|| Recipe {
        entrypoint: args.entrypoint.clone(),
        env: args.env.clone(),
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        keep_owners: args.keep_owners,
    });
    let select = args.select.clone();
    let spinner = output::spinner(format, format!("reading {}", source.display()));
    let work = move || match recipe {
        Some(recipe) => from_dir::make(&source, &recipe),
        None => source::read(&source, select.as_deref()),
    };
    let content = tokio::task::spawn_blocking(work).await.context("reading the source ended early")??;
    spinner.finish_and_clear();
    Ok((content, name))
}

/// Login for the registry; `own` is set for the platform's registry.
fn login(args: &PushArgs, own: Option<&Client>) -> anyhow::Result<Option<Login>> {
    if let (Some(user), Some(file)) = (&args.registry_user, &args.registry_password_file) {
        return Ok(Some(Login { user: user.clone(), password: read_password(file)? }));
    }
    Ok(own.map(Client::key_pair).map(|(id, key)| Login { user: id.to_owned(), password: key.to_owned() }))
}

fn read_password(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
