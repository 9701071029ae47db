//! Which user and groups a process runs as: the image's `USER`, resolved in the image's own files. Pure.

use types::limits::MAPPED_ID_MAX;

use crate::error::Error;

/// What system calls take for "leave it as it is" (setresuid(2)).
const NO_ID: u32 = u32::MAX;

/// Ids inside the instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory by /etc/passwd, if the user is there.
    pub home: Option<String>,
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Passwd { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        Some(Group { name, gid: gid.parse().ok()?, members })
    })
}

/// Resolves `user[:group]` with the content of /etc/passwd and /etc/group. Numbers need not be in the files.
pub fn resolve(user: &str, passwd_text: &str, group_text: &str) -> Result<Identity, Error> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = passwd(passwd_text).find(|p| p.name == user || Some(p.uid) == number);
    let unknown = |kind, name: &str| Error::UnknownIdentity { kind, name: name.to_owned() };
    let (uid, own_gid) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(number)) => (number, 0),
        (None, None) => return Err(unknown("user", user)),
    };
    let gid = match group {
        None => own_gid,
        Some(name) => {
            let listed = groups(group_text).find(|g| g.name == name).map(|g| g.gid);
            listed.or_else(|| name.parse().ok()).ok_or_else(|| unknown("group", name))?
        }
    };
    let name = entry.as_ref().map(|e| e.name);
    let member = |g: &Group<'_>| name.is_some_and(|name| g.members.split(',').any(|m| m == name));
    // A group that is named stands alone, as container runtimes have it. Of large ones an instance has its own only.
    let exists = |id: &u32| *id <= MAPPED_ID_MAX || *id == gid;
    let supplementary = match group {
        None => groups(group_text).filter(member).map(|g| g.gid).filter(exists).collect(),
        Some(_) => Vec::new(),
    };
    for (what, id) in [("user", uid), ("group", gid)] {
        if id == NO_ID {
            return Err(Error::BadSpec {
                what,
                value: id.to_string(),
                reason: "it is the number that stands for none",
            });
        }
    }
    Ok(Identity { uid, gid, groups: supplementary, home: entry.map(|e| e.home.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\nbroken line\n\
        large:x:1000660000:1000660000::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nextra:x:2000:other,app,large\n\
        large:x:1000660000:large\nelse:x:99999:large\n";

    fn ids(user: &str) -> Result<(u32, u32, Vec<u32>), Error> {
        resolve(user, PASSWD, GROUP).map(|i| (i.uid, i.gid, i.groups))
    }

    #[test]
    fn names_and_numbers_are_resolved_as_container_runtimes_do() {
        for (user, want) in [
            ("", (0, 0, vec![])),
            ("root", (0, 0, vec![])),
            ("app", (1000, 1001, vec![2000])),
            ("1000", (1000, 1001, vec![2000])),
            ("4242", (4242, 0, vec![])),
            ("app:extra", (1000, 2000, vec![])),
            ("7:8", (7, 8, vec![])),
            ("app:", (1000, 1001, vec![2000])),
            ("1000660001", (1_000_660_001, 0, vec![])),
            ("large", (1_000_660_000, 1_000_660_000, vec![2000, 1_000_660_000])),
        ] {
            assert_eq!(ids(user).expect(user), want, "{user}");
        }
    }

    #[test]
    fn names_that_the_image_lacks_are_named() {
        assert!(ids("nobody").expect_err("unknown").to_string().contains("\"nobody\""));
        assert!(ids("app:none").expect_err("unknown").to_string().contains("\"none\""));
        assert!(ids("4294967295").is_err() && ids("1:4294967295").is_err() && ids("4294967296").is_err());
    }

    #[test]
    fn the_home_is_the_users() {
        assert_eq!(resolve("app", PASSWD, GROUP).expect("known").home.as_deref(), Some("/srv"));
    }
}
