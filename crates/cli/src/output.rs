//! Output of commands: JSON documents, aligned columns, and progress bars on terminals.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Output;
use crate::terminal;

/// Redraw interval of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// Prints a JSON document on one line.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", terminal::json(serde_json::to_string(value)?));
    Ok(())
}

/// Prints rows under headings, with columns as wide as their longest cell. Each cell is one line.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|entry| terminal::line(entry)).collect()).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|i| rows.iter().map(|r| r[i].chars().count()).chain([headings[i].len()]).max().unwrap_or_default())
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(headings.to_vec());
    for row in &rows {
        line(row.iter().map(AsRef::as_ref).collect());
    }
}

/// A progress bar in bytes; hidden without a terminal and with JSON output.
pub fn bytes_bar(output: Output, total: u64, what: String) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target(output));
    let style = ProgressStyle::with_template("{msg:28} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .expect("the template is constant and right");
    bar.set_style(style);
    bar.set_message(terminal::line(&what).into_owned());
    bar
}

/// A spinner with a changing text; hidden without a terminal and with JSON output.
pub fn spinner(output: Output, what: String) -> ProgressBar {
    let spinner = spinner_on(target(output));
    spinner.set_message(terminal::line(&what).into_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}

/// Sets the style explicitly: the default one draws a bar of 0/0 and no message.
fn spinner_on(target: ProgressDrawTarget) -> ProgressBar {
    ProgressBar::with_draw_target(None, target).with_style(ProgressStyle::default_spinner())
}

fn target(output: Output) -> ProgressDrawTarget {
    match output {
        Output::Text => ProgressDrawTarget::stderr(),
        Output::Json => ProgressDrawTarget::hidden(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that records its output.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<String>>);

    impl TermLike for Written {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().expect("no test panics with it").push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_spinner_shows_what_is_waited_for() {
        let terminal = Written::default();
        let spinner = spinner_on(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        spinner.set_message("f: Starting an instance");
        spinner.tick();
        let written = terminal.0.lock().expect("no test panics with it").clone();
        assert!(written.contains("f: Starting an instance") && !written.contains("0/0"), "{written:?}");
    }
}
