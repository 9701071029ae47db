//! Declaration files as users supply them: on standard input, through a pipe, damaged, with
//! overlays.

use std::process::Stdio;

use e2e::tools::ProgramOutput;
use e2e::{Platform, tools};
use tokio::io::AsyncWriteExt;

use crate::{run, written};

const FUNCTION: &str =
    "project: shop\nfunctions:\n  web: { image: hello:v1, timeout: 30, environment: { COLOUR: red } }\n";

/// Runs a command with this standard input.
async fn with_input(platform: &Platform, args: &[&str], input: &[u8]) -> anyhow::Result<ProgramOutput> {
    let mut command = platform.cli(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // A command that reaches its size limit exits before it has read all input.
    let writer = tokio::spawn(async move { stdin.write_all(&input).await });
    let output = tools::output_of(child).await?;
    writer.await?.ok();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (ok, code) = (output.status.success(), output.status.code());
    Ok(ProgramOutput { ok, code, stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[tokio::test]
async fn a_file_on_standard_input_is_deployed_with_an_overlay() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let made = with_input(&platform, &["deploy", "-f", "-"], FUNCTION.as_bytes()).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    let text = format!("\u{feff}{}", FUNCTION.replace('\n', "\r\n"));
    let same = with_input(&platform, &["diff", "-f", "-"], text.as_bytes()).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let base = written(&platform, "sampan.yaml", FUNCTION)?;
    let overlay = b"functions: { web: { environment: { COLOUR: blue } } }";
    let moved = with_input(&platform, &["deploy", "-f", &base, "-f", "-"], overlay).await?;
    assert!(moved.ok, "{}{}", moved.stdout, moved.stderr);
    assert_eq!(platform.get("web", "/env?COLOUR").await?.text().await?, "blue");
    let gone = with_input(&platform, &["delete", "-f", "-"], FUNCTION.as_bytes()).await?;
    assert!(gone.ok && gone.stdout.contains("function web: removed"), "{}{}", gone.stdout, gone.stderr);
    platform.stop().await
}

#[tokio::test]
async fn files_that_are_none_are_refused_with_their_place_and_change_nothing() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let endless = vec![b'#'; 5 << 20];
    for (input, part) in [
        (b"project: p\nfunctions: {}\n# caf\xe9".as_slice(), "standard input:3:6: this is not UTF-8"),
        (b"\xff\xfep\0r\0", "save it as UTF-8"),
        (b"", "standard input:1:1: the file is empty"),
        (b"project: shop\n---\nproject: blog\n", "standard input:3:1: a file must have a single document"),
        (b"project: shop\nfunctions:\n\tweb: { image: a }\n", "standard input:3:"),
        (&endless, "standard input has more than"),
    ] {
        for command in ["deploy", "diff", "delete"] {
            let refused = with_input(&platform, &[command, "-f", "-"], input).await?;
            assert_eq!(refused.code, Some(2), "{part}: {}", refused.stderr);
            assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
        }
    }
    let twice = with_input(&platform, &["diff", "-f", "-", "-f", "-"], FUNCTION.as_bytes()).await?;
    assert!(twice.stderr.contains("standard input is named more than once"), "{}", twice.stderr);
    let folder = platform.work_dir().display().to_string();
    for (file, part) in [(folder.as_str(), "Is a directory"), ("/dev/zero", "/dev/zero has more than")] {
        let refused = run(&platform, "diff", &[file]).await?;
        assert!(refused.code == Some(2) && refused.stderr.contains(part), "{file}: {}", refused.stderr);
    }
    assert_eq!(platform.cli_json(&["list"]).await?, serde_json::json!([]));
    platform.stop().await
}

#[tokio::test]
async fn secrets_of_triggers_are_in_no_output() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let text = |secrets: &str| {
        let desc = format!("{{ Scheme: bearer, Secrets: [{secrets}] }}");
        FUNCTION
            .replace("timeout: 30,", &format!("timeout: 30, triggers: {{ hook: {{ type: webhook, desc: {desc} }} }},"))
    };
    let one = written(&platform, "one.yaml", &text("first-secret-of-the-hook"))?;
    let two = written(&platform, "two.yaml", &text("first-secret-of-the-hook, second-secret-of-the-hook"))?;
    for file in [&one, &two] {
        for args in [["diff", "-f", file, "--output", "json"], ["diff", "-f", file, "--output", "text"]] {
            let differs = tools::run(&mut platform.cli(&args)).await?;
            assert_eq!(differs.code, Some(2), "{}{}", differs.stdout, differs.stderr);
            assert!(!differs.stdout.contains("secret-of-the-hook"), "{}", differs.stdout);
            assert!(differs.stdout.contains("***"), "{}", differs.stdout);
        }
        let made = tools::run(&mut platform.cli(&["deploy", "-f", file, "--output", "json"])).await?;
        assert!(made.ok && !made.stdout.contains("secret-of-the-hook"), "{}{}", made.stdout, made.stderr);
    }
    platform.stop().await
}
