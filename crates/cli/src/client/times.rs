//! Converts the API's times, which are in the platform's local time without a zone, to this
//! machine's local time with offset.

use serde_json::Value;
use types::UtcOffset;

use super::Client;
use crate::local_time;

/// Fields with times, at any depth of an answer.
const FIELDS: [&str; 4] = ["AddTime", "ModTime", "StartTime", "EndTime"];

impl Client {
    /// Rewrites the times in an answer; leaves them if the platform does not send its offset.
    pub async fn localize(&self, answer: &mut Value) -> anyhow::Result<()> {
        if let Some(offset) = self.health().await?.utc_offset {
            localize(answer, offset);
        }
        Ok(())
    }
}

fn localize(value: &mut Value, offset: UtcOffset) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| localize(item, offset)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if FIELDS.contains(&name.as_str()) => {
                        if let Some(unix_ms) = offset.parse_time(text) {
                            *text = local_time::rfc3339_s(unix_ms);
                        }
                    }
                    Value::Array(_) | Value::Object(_) => localize(value, offset),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_the_same_instant_with_an_offset() {
        let mut answer =
            json!([{"AddTime": "2019-02-26 00:44:25", "Inner": {"ModTime": ""}, "Description": "AddTime"}]);
        localize(&mut answer, UtcOffset::CHINA);
        let mut event = json!({"StartTime": "2019-02-26 00:44:25.123000", "EndTime": ""});
        localize(&mut event, UtcOffset::CHINA);
        assert_eq!((&event["StartTime"], &event["EndTime"]), (&answer[0]["AddTime"], &json!("")));
        let text = answer[0]["AddTime"].as_str().expect("a text");
        let time: jiff::Timestamp = text.parse().expect("RFC 3339");
        assert_eq!(time.as_second(), 1_551_113_065, "{text}");
        assert_eq!(answer[0]["Inner"]["ModTime"], "");
        assert_eq!(answer[0]["Description"], "AddTime");
    }
}
