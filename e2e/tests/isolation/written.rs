//! Whether data written by an instance are visible to the next one, of the same function or
//! another.

use e2e::{Platform, hostile};

const FLAGS: &[&str] = &["--memory", "256", "--timeout", "60", "--no-start-check"];
/// Writable places of an instance other than volumes: `/tmp`, the writable layer, shared memory.
const PLACES: [&str; 3] = ["/tmp", "/", "/dev/shm"];
/// Content written by a previous instance.
const MARKER: &str = "of-the-one-before";

/// Places in which the instance that now serves a function has files of another instance.
async fn found(platform: &Platform, function: &str) -> anyhow::Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for place in PLACES {
        let listed = hostile::attack(platform, function, &format!("/list?{place}")).await?;
        if listed.lines().any(|name| name == MARKER) {
            found.push(place);
        }
    }
    Ok(found)
}

async fn write(platform: &Platform, function: &str) -> anyhow::Result<()> {
    for place in PLACES {
        let put = format!("/put?{}/{MARKER}:{MARKER}", place.trim_end_matches('/'));
        assert_eq!(hostile::attack(platform, function, &put).await?, "0", "{place}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_an_instance_wrote_is_left_for_another() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    hostile::push(&platform).await?;
    for (function, flags) in [("memory", &[][..]), ("disk", &["--tmp", "64m"]), ("other", &["--tmp", "64m"])] {
        platform.deploy(function, "hostile:v1", &[FLAGS, flags].concat()).await?;
    }
    for function in ["memory", "disk"] {
        write(&platform, function).await?;
        assert_eq!(found(&platform, function).await?, PLACES, "the same instance finds it");
        assert!(found(&platform, "other").await?.is_empty(), "of {function}");
        // Each change of its variables replaces its instance.
        for round in ["1", "2"] {
            platform.cli_json(&["deploy", function, "--env", &format!("ROUND={round}")]).await?;
            let here = hostile::attack(&platform, function, "/read?/proc/self/environ").await?;
            assert!(here.contains(&format!("ROUND={round}")), "another instance answers");
            assert!(found(&platform, function).await?.is_empty(), "{function}");
        }
    }
    // Free blocks do not contain the data either.
    let free = hostile::attack(&platform, "disk", "/scavenge?/tmp").await?;
    let (taken, bytes) = free.split_once(' ').unwrap_or_default();
    assert!(taken.parse::<u64>()? > 40 && bytes == "0", "{free}");
    platform.stop().await
}
